"""The page in Chromium as a visitor's hands and eyes have it, for the tests to drive."""

from __future__ import annotations

import io
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

from ..server import ROOT

PORTRAIT = ROOT / "examples" / "astronaut.jpg"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]
PATIENCE = 90_000  # milliseconds
WORK = re.compile("/gradio_api/(queue/join|run|upload|component_server)")
UNDER_WAY: dict[Page, set[Request]] = {}  # what a page has asked of the server
PAINTED: dict[Page, list[str]] = {}  # what its painter has told the server
# Notes which events the page has joined the queue with and which of them are completed. An open stream of the queue
# says nothing: the client may open one for an event whose messages have all come, and it stays till the next event.
WATCH_EVENTS = """(() => {
  const fetched = window.fetch, joined = new Set(), completed = new Set();
  window.unanswered = () => [...joined].filter((event) => !completed.has(event));
  const follow = async (reader, decoder = new TextDecoder(), text = "") => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const messages = (text + decoder.decode(part.value, { stream: true })).split("\\n\\n");
      text = messages.pop();
      for (const message of messages.map((line) => JSON.parse(line.slice("data:".length))))
        if (message.msg === "process_completed") completed.add(message.event_id);
    }
  };
  window.fetch = async (...options) => {
    const answer = await fetched(...options), url = String(options[0].url ?? options[0]);
    if (url.includes("/queue/join") && answer.ok) answer.clone().json().then(({ event_id }) => joined.add(event_id));
    if (url.includes("/queue/data")) follow(answer.clone().body.getReader()).catch(() => {});
    return answer;
  };
})()"""
# Pastes a picture of these base64 characters, beside a text if there is one, where an element or nothing has the focus.
PASTE = """([data, text, selector]) => {
  const clipboardData = new DataTransfer(), bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  clipboardData.items.add(new File([bytes], "image.png", {type: "image/png"}));
  if (text) clipboardData.setData("text/plain", text);
  const target = selector ? document.querySelector(selector) : document.body;
  selector ? target.focus() : document.activeElement.blur();
  const event = new ClipboardEvent("paste", {clipboardData, bubbles: true, cancelable: true});
  target.dispatchEvent(event);
  return event.defaultPrevented;
}"""
# A fill disables the button, perhaps only for a moment.
WATCH_FILL = """() => {
  const button = document.querySelector("#fill");
  window.began = false;
  new MutationObserver(() => { window.began ||= button.disabled; }).observe(button, {attributes: true});
}"""


@contextmanager
def opened(browser: Browser, url: str, **options: Any) -> Iterator[Page]:
    """A fresh page with its sliders drawn; afterwards nothing may have failed or gone to another host."""
    faults: list[str] = []
    origin = url.partition("?")[0]
    page = browser.new_page(**options)
    page.set_default_timeout(PATIENCE)
    page.add_init_script(WATCH_EVENTS)
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((origin, "data:", "blob:")) else faults.append(request.url),
    )
    under_way, PAINTED[page] = set[Request](), []
    UNDER_WAY[page] = under_way
    page.on("request", lambda request: note_painting(page, request))
    page.on("request", lambda request: under_way.add(request) if WORK.search(request.url) else None)
    page.on("requestfinished", lambda request: under_way.discard(request))
    page.on("requestfailed", lambda request: under_way.discard(request))
    page.goto(url)
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#painter .csi-ready")).to_be_visible(timeout=PATIENCE)
    yield page
    page.close()
    assert faults == [], faults


def unfold(page: Page, fold: str) -> None:
    """Opens a fold of the page, unless it is open."""
    button = page.locator(f"{fold} > button")
    if "open" not in (button.get_attribute("class") or "").split():
        button.click()
        settle(page)  # what is in it is drawn, and has its values


def set_number(page: Page, control: str, value: float) -> None:
    if control in ("samples", "seed") or control.startswith("option"):
        unfold(page, "#settings")
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.press("Tab")
    settle(page)


def settle(page: Page) -> None:
    """Waits until all that was asked of the server has been answered for a while."""
    quiet, deadline = 0, time.monotonic() + PATIENCE / 1000
    while quiet < 5:
        page.wait_for_timeout(100)
        waiting = [request.url for request in UNDER_WAY[page]] + page.evaluate("window.unanswered()")
        quiet = 0 if waiting else quiet + 1
        assert time.monotonic() < deadline, f"not answered: {waiting}"


def told(page: Page) -> tuple[int, str]:
    """How often the painter has told the server what is painted, and what it told last: photo and hole."""
    count, painted = len(PAINTED[page]), PAINTED[page][-1] if PAINTED[page] else "{}"
    content = json.loads(painted)
    return count, f"{content.get('photo')} {content.get('runs')}"


def masked(page: Page) -> str:
    """Photo and hole as the server last heard of them."""
    return told(page)[1]


def after(page: Page, action: Callable[[], object]) -> str:
    """Does something that changes what is painted or on which photo, and returns both."""
    before, _ = told(page)
    action()
    deadline = time.monotonic() + PATIENCE / 1000
    while told(page)[0] == before:
        assert time.monotonic() < deadline, "the painter told the server nothing"
        page.wait_for_timeout(50)
    settle(page)
    return masked(page)


def note_painting(page: Page, request: Request) -> None:
    """Remembers what a request says of the painting when it is of the painter itself."""
    if "/queue/join" not in request.url:
        return
    values = json.loads(request.post_data or "{}").get("data", [])
    if values and isinstance(values[0], str) and '"runs"' in values[0]:
        PAINTED[page].append(values[0])


def preset(page: Page, label: str) -> str:
    return after(page, lambda: page.get_by_role("button", name=label, exact=True).click())


def upload(page: Page, file: Path) -> str:
    return after(page, lambda: page.set_input_files("#painter [data-pick=open]", file))


def on_canvas(page: Page, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Points of the photo, from 0 to 1, in the window, whatever part of it the canvas shows."""
    canvas = page.locator("#painter canvas")
    canvas.scroll_into_view_if_needed()
    box, region = canvas.bounding_box(), canvas.get_attribute("data-region")
    assert box
    assert region
    left, top, width, height = map(float, region.split())
    across, down = json.loads(PAINTED[page][-1])["size"]
    spots = [((x * across - left) / width, (y * down - top) / height) for x, y in points]
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in spots]


def paint(page: Page, points: list[tuple[float, float]]) -> None:
    """A stroke of the mouse through points of the photo, from 0 to 1."""
    spots = on_canvas(page, points)
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=4)
    page.mouse.up()


def filled(page: Page) -> str:
    """Fills the hole and returns the first sample in the photo, a data URL."""
    page.evaluate(WATCH_FILL)
    page.click("#fill")
    page.wait_for_function("window.began", timeout=PATIENCE)
    expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
    expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
    return page.locator("#pictures .csi-after").get_attribute("src") or ""


def downloaded(page: Page, name: str) -> np.ndarray:
    """The result at the photo's own size, in a file of this name."""
    with page.expect_download(timeout=PATIENCE) as download:
        page.click("#save")
    assert re.fullmatch(name, download.value.suggested_filename)
    return np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())))


def touch(page: Page, strokes: list[list[tuple[float, float]]]) -> None:
    """Fingers that go down one after another, move together and go up together; points of the canvas, from 0 to 1."""
    fingers = [on_canvas(page, points) for points in strokes]
    browser = page.context.new_cdp_session(page)

    def send(kind: str, spots: list[tuple[float, float]]) -> None:
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(spots)]
        browser.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    for count in range(1, len(fingers) + 1):
        send("touchStart", [finger[0] for finger in fingers[:count]])
    for spots in zip(*(finger[1:] for finger in fingers), strict=True):
        send("touchMove", list(spots))
    send("touchEnd", [])

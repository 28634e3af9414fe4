"""Fills that follow the sliders: handlers without weights, then Chromium and eight visitors on the real server."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, Request, expect

from csi_demo.ops.soaking import Visitor
from csi_demo.ui import filling, photo, results
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS
from csi_demo.ui.panels.steer import draw_sliders
from csi_demo.ui.wiring import Update

from ..visitor import PlainMethod, a_photo, painting
from .browsing import PATIENCE, filled, opened, set_number, settle


def values(smile: float) -> list[float]:
    return [smile, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1)]


def refilled(what: str, start: str | None, smile: float = 2.0, key: object = None) -> Iterator[Update]:
    return filling.refill(key, "plain", what, "Crisp", results.IN_PHOTO, True, start, 0, 1, *values(smile))


@pytest.fixture
def drawn(faces: Any, method: PlainMethod) -> tuple[str, str]:
    """What a browser sends, and where its sliders start."""
    what = painting(a_photo())
    return what, draw_sliders("plain", what)["start"]


def test_a_slider_refills_in_one_update(method: PlainMethod, drawn: tuple[str, str]) -> None:
    (only,) = refilled(*drawn)
    assert method.calls == [({"smile": 2.0}, {})]
    assert "Filled in" in only["status"]
    assert results.finished_result(only["result"]).progress == 1.0
    assert "csi-after" in only["pictures"]
    (again,) = refilled(*drawn, smile=-2.0, key=only["run"])
    assert again["run"] == only["run"]


def test_a_long_refill_says_how_far_it_is_and_shows_no_rows(
    method: PlainMethod, drawn: tuple[str, str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(PlainMethod, "pause", 0.02)
    updates = list(refilled(*drawn))
    assert 4 <= len(updates) < 50  # not every row
    assert "Filling the hole" in updates[0]["status"]
    assert [update for update in updates if "pictures" in update] == updates[-1:]


def test_a_newer_move_ends_a_long_refill_at_its_next_row(
    method: PlainMethod, drawn: tuple[str, str], monkeypatch: Any
) -> None:
    monkeypatch.setattr(PlainMethod, "pause", 0.02)
    updates = refilled(*drawn)
    key = next(updates)["run"]
    filling.outdate(key, "plain")
    (last,) = updates
    assert method.closed
    assert last.keys() == {"run"}


def test_a_short_refill_is_left_to_end(method: PlainMethod, drawn: tuple[str, str]) -> None:
    key = filling.begin(None)["run"]
    filling.outdate(key, "plain")
    assert not photo.KEPT.get(key).outdated
    filling.outdate(key, "no such method")
    filling.outdate("of someone else", "plain")


def test_a_refill_ends_the_fill_before_it(method: PlainMethod, drawn: tuple[str, str]) -> None:
    key = filling.begin(None)["run"]
    updates = filling.stoppable(filling.fill)(key, "plain", drawn[0], "Crisp", results.IN_PHOTO, True, None, 0, 1)
    next(updates)
    list(refilled(*drawn, key=key))
    (last,) = updates
    assert last == {}


def test_a_slider_of_another_photo_or_of_a_slow_method_does_nothing(
    method: PlainMethod, drawn: tuple[str, str], monkeypatch: Any
) -> None:
    what, start = drawn
    for values in ((painting(a_photo()), start), (what, None), ("broken", start)):
        (only,) = refilled(*values)
        assert only.keys() == {"status"}
    monkeypatch.setattr(PlainMethod, "live", False)
    (only,) = refilled(what, start)
    assert "The sliders have moved" in only["status"]
    assert method.calls == []


@pytest.fixture
def live(browser: Browser, url: str) -> str:
    """The page's address, once fills follow the sliders there: the server compiles first."""
    with opened(browser, url) as page:
        for _ in range(60):
            if "the picture follows" in page.locator("#note").inner_text():
                return url
            page.wait_for_timeout(1000)
            page.reload()
            expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    raise AssertionError("fills do not follow the sliders")


WATCH_PICTURES = """() => {
  window.shown = [];
  const pictures = document.querySelector("#pictures");
  new MutationObserver(() => {
    const now = pictures.querySelector(".csi-after")?.src;
    if (now && now !== window.shown.at(-1)?.[1]) window.shown.push([performance.now(), now]);
  }).observe(pictures, {childList: true, subtree: true, attributes: true});
}"""


@pytest.mark.slow
def test_dragging_shows_new_pictures_and_ends_at_the_last_position(live: str, page: Page) -> None:
    set_number(page, "samples", 1)
    slider = page.locator("#slider-0 input[type=range]")
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    left, width, height = box["x"] + 8, box["width"] - 16, box["y"] + box["height"] / 2
    page.mouse.move(left + width / 2, height)
    page.mouse.down()
    page.wait_for_timeout(500)
    page.evaluate(WATCH_PICTURES)
    began = time.monotonic()
    while len(page.evaluate("window.shown")) < 3:  # as soon as this machine manages, while the mouse is down
        assert time.monotonic() - began < PATIENCE / 1000, "the picture does not follow the slider"
        page.mouse.move(left + width * (0.5 + 0.45 * math.sin(3.0 * (time.monotonic() - began))), height)
        page.wait_for_timeout(15)
    page.mouse.up()
    settle(page)
    last = page.evaluate("window.shown.at(-1)[1]")
    assert last == page.locator("#pictures .csi-after").get_attribute("src")
    assert last == filled(page)  # a fill for where the sliders stand now


def coloured(index: int) -> Image.Image:
    """A frame of one colour: every visitor's another one."""
    return Image.new("RGB", (64, 64), (30 * index, 255 - 30 * index, 90 + 10 * index))


@pytest.mark.slow
def test_eight_visitors_drag_at_once_and_see_their_own_photo(live: str) -> None:
    visitors, waits = [Visitor(live) for _ in range(8)], [list[float]() for _ in range(8)]
    for index, visitor in enumerate(visitors):
        visitor.paint_on(coloured(index))
        visitor.set("where", results.IN_FRAME)
        visitor.set("samples", 1)

    def drag(visitor: Visitor, waited: list[float]) -> None:
        move = visitor.event("slider-0", "input")
        for step in range(10):
            visitor.set("slider-0", round(-2.0 + 0.4 * step, 1))
            began = time.monotonic()
            visitor.send(move)
            waited.append(time.monotonic() - began)

    threads = [threading.Thread(target=drag, args=pair) for pair in zip(visitors, waits, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    for index, visitor in enumerate(visitors):
        source = (
            visitor.shown("pictures")
            .split('class="csi-after" hidden alt="" src="data:image/png;base64,')[1]
            .split('"')[0]
        )
        picture = Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB")
        assert picture.getpixel((10, 10)) == coloured(index).getpixel((0, 0))
    assert [len(waited) for waited in waits] == [10] * 8, "every move is answered"


# The photo editor's tab

WATCH_SQUARES = """() => {
  window.shown = [];
  const source = Object.getOwnPropertyDescriptor(HTMLImageElement.prototype, "src");
  Object.defineProperty(HTMLImageElement.prototype, "src", {...source, set(value) {
    if (String(value).startsWith("data:")) window.shown.push(performance.now());
    source.set.call(this, value);
  }});
}"""


def editor_canvas(page: Page) -> dict[str, float]:
    """Opens the editor's tab, and returns where its canvas lies."""
    page.get_by_role("tab", name="Edit").click()
    expect(page.locator("#editor .csi-ready")).to_be_visible(timeout=PATIENCE)
    canvas = page.locator("#editor canvas")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    assert box
    return box  # type: ignore[return-value]


def pixels(page: Page) -> str:
    return page.locator("#editor canvas").evaluate("canvas => canvas.toDataURL()")


def settle_on(page: Page, reached: Callable[[], bool]) -> None:
    """Waits for a condition, then until nothing has been asked of the server for a while."""
    deadline = time.monotonic() + PATIENCE / 1000
    while not reached():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)
    settle(page)


def test_a_stroke_shows_while_it_is_drawn_and_is_undone(page: Page) -> None:
    box = editor_canvas(page)
    x, y = box["x"] + 0.45 * box["width"], box["y"] + 0.32 * box["height"]
    page.mouse.move(2, 2)  # the brush is drawn where the mouse is
    settle(page)
    before = pixels(page)
    page.evaluate(WATCH_SQUARES)
    page.mouse.move(x, y)
    page.mouse.down()
    for move in range(20):
        page.mouse.move(x + 3 * move, y)
        page.wait_for_timeout(30)
    page.wait_for_function("window.shown.length >= 2", timeout=PATIENCE)  # the brush still is down
    page.mouse.up()
    page.mouse.move(2, 2)
    settle(page)
    undo, redo = (page.locator(f"#editor [data-act={name}]") for name in ("undo", "redo"))
    expect(undo).to_be_enabled()
    after = pixels(page)
    assert after != before
    undo.click()
    expect(redo).to_be_enabled()
    settle(page)
    assert pixels(page) == before
    page.locator("#editor canvas").focus()
    page.keyboard.press("Control+y")
    expect(undo).to_be_enabled()
    settle(page)
    page.locator("#editor summary").click()
    expect(page.locator("#editor .csi-views img")).to_have_count(4)
    page.click("#editor [data-act=fill]")
    expect(page.locator("#fill")).to_be_visible(timeout=PATIENCE)


@pytest.mark.slow
def test_the_last_picture_of_a_stroke_is_that_of_its_last_move(page: Page) -> None:
    box = editor_canvas(page)
    sent: list[dict[str, Any]] = []

    def asked(request: Request) -> None:
        if "component_server" in request.url:
            sent.append(json.loads(request.post_data_json["data"]))

    page.on("request", asked)
    x, y = box["x"] + 0.4 * box["width"], box["y"] + 0.3 * box["height"]
    page.mouse.move(x, y)
    page.mouse.down()
    for move in range(20):
        page.mouse.move(x + 2 * move, y)
    page.mouse.up()
    settle_on(
        page, lambda: sent[-1:] and sent[-1]["act"] == "look"
    )  # what is shown is the state that the last move led to
    paints = sent[:-1]
    assert {message["act"] for message in paints} == {"paint"}
    assert len({message["stroke"] for message in paints}) == 1
    numbers = [message["reply"] for message in sent]
    assert numbers == list(range(numbers[0], numbers[0] + len(sent)))  # one at a time
    points = [point for message in paints for point in message["points"]]
    assert points == sorted(points)
    page.mouse.down()  # where the last move was
    page.mouse.up()
    settle_on(page, lambda: len(sent) > len(numbers) and sent[-1]["act"] == "look")
    assert sent[len(numbers)]["points"][0] == pytest.approx(points[-1])
    undo = page.locator("#editor [data-act=undo]")
    for count in (1, 2):
        undo.click()
        settle_on(page, lambda count=count: [one["act"] for one in sent[-count:]] == ["undo"] * count)
    expect(undo).to_be_disabled(timeout=PATIENCE)  # all moves are one stroke


@pytest.mark.slow
def test_the_dropper_takes_a_colour_and_keys_paint(page: Page) -> None:
    box = editor_canvas(page)
    page.click("#editor [data-tool=dropper]")
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    colour = page.locator("#editor input[type=color]")
    assert colour.input_value() != "#24160d"
    expect(page.locator("#editor [data-tool=paint]")).to_have_attribute("aria-pressed", "true")
    page.locator("#editor canvas").focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.locator("#editor [data-act=undo]")).to_be_enabled(timeout=PATIENCE)
    slider = page.locator("#editor [data-latent]").first
    slider.fill("2")
    slider.dispatch_event("change")
    settle(page)
    assert slider.input_value() == "2"
    page.keyboard.press("Tab")
    page.click("#editor [data-act=undo]")
    settle(page)
    assert slider.input_value() == "0"


@pytest.mark.slow
def test_an_example_is_one_click(page: Page) -> None:
    editor_canvas(page)
    page.click("#edits [data-example='0']")
    expect(page.locator("#editor .csi-say")).to_contain_text("fringe", timeout=PATIENCE)
    expect(page.locator("#editor [data-act=undo]")).to_be_enabled()

"""The page in Chromium, served by ``python app.py`` with the real weights."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
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
PATIENCE = 60_000  # milliseconds
# A fill disables the button, perhaps only for a moment.
WATCH_FILL = """() => {
  const button = document.querySelector("#fill");
  window.began = false;
  new MutationObserver(() => { window.began ||= button.disabled; }).observe(button, {attributes: true});
}"""

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ``python app.py`` answers."""
    folder = tmp_path_factory.mktemp("page")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PORT": str(port), "GRADIO_TEMP_DIR": str(folder / "cache")}
    environment.pop("GRADIO_SERVER_NAME", None)
    with (folder / "log").open("w") as log:
        server = subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}/"
        wait_until_up(address, server, folder / "log")
        yield address
        assert "Traceback" not in (folder / "log").read_text()
    finally:
        server.terminate()
        server.wait(20)


def wait_until_up(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("the page does not answer")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A fresh page with its sliders drawn; afterwards nothing may have failed or gone to another host."""
    faults: list[str] = []
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "data:", "blob:")) else faults.append(request.url),
    )
    page.goto(url)
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#masked img")).to_be_visible(timeout=PATIENCE)
    yield page
    page.close()
    assert faults == []


def choose_hole(page: Page, label: str) -> None:
    page.click("#hole input")
    page.get_by_role("option", name=label, exact=True).click()


def set_number(page: Page, control: str, value: float) -> None:
    field = page.locator(f"#{control} input[type=number]")
    field.fill(str(value))
    field.press("Tab")


def filled(page: Page) -> str:
    """Fills the hole and returns the address of the first sample, a data URL."""
    page.evaluate(WATCH_FILL)
    page.click("#fill")
    page.wait_for_function("window.began", timeout=PATIENCE)
    expect(page.locator("#status")).to_contain_text("Bits per dim", timeout=PATIENCE)
    expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
    return page.locator("#pictures img").first.get_attribute("src") or ""


def test_fill_follows_seed_sliders_and_reset(page: Page) -> None:
    expect(page.locator("#pictures")).to_contain_text("Your fills appear here")
    set_number(page, "samples", 1)
    slider = page.locator("#slider-0 input[type=number]")
    first, at_start = filled(page), slider.input_value()
    assert first.startswith("data:image/png;base64,")
    with page.expect_download() as download:
        page.click("#pictures a >> nth=1")
    assert download.value.suggested_filename == "csi-seed-0-large.png"

    set_number(page, "slider-0", -3 if float(at_start) > 0 else 3)
    steered = filled(page)
    assert steered != first

    page.click("#reset")
    expect(slider).to_have_value(at_start)
    assert filled(page) == first

    set_number(page, "seed", 5)
    assert filled(page) not in (first, steered)


def test_enlargement_changes_the_result_in_place(page: Page) -> None:
    choose_hole(page, "Nose")
    set_number(page, "samples", 1)
    smooth = filled(page)
    page.click("#look label:has-text('Crisp')")
    expect(page.locator("#pictures img")).not_to_have_attribute("src", smooth)
    expect(page.locator("#status")).to_contain_text("Filled 1 sample")


def test_stop_ends_a_fill_and_keeps_what_is_drawn(page: Page) -> None:
    choose_hole(page, "Whole picture")
    set_number(page, "samples", 8)
    page.click("#fill")
    expect(page.locator("#pictures img")).to_have_count(8, timeout=PATIENCE)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped at", timeout=PATIENCE)
    expect(page.locator("#fill")).to_be_enabled()
    expect(page.locator("#pictures a")).to_have_count(16)
    kept = page.locator("#pictures").inner_html()
    page.wait_for_timeout(1500)
    assert page.locator("#pictures").inner_html() == kept
    expect(page.locator("#status")).to_contain_text("Stopped at")


def test_an_unreadable_file_is_explained(page: Page, tmp_path: Path) -> None:
    broken = tmp_path / "holiday.png"
    broken.write_bytes(b"no picture")
    page.set_input_files("#photo input[type=file]", broken)
    message = "holiday.png is not a picture that can be read"
    expect(page.locator("#masked")).to_contain_text(message)
    expect(page.locator("[data-testid=toast-body]")).to_contain_text(message)
    page.click("#fill")
    expect(page.locator("#status")).to_contain_text(message)
    expect(page.locator("#fill")).to_be_enabled()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= width

"""What the page says, from what is there: the function that decides it in a browser without a page, and the page."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from csi_demo.ui import static

from ..server import ROOT, serving
from .browsing import (
    PASTE,
    PATIENCE,
    PORTRAIT,
    after,
    filled,
    masked,
    opened,
    preset,
    set_number,
    settle,
    unfold,
    upload,
)

READY = {"ready": True, "photo": True, "hole": "some", "said": None, "note": None, "sliders": True, "stale": ""}
RUNS = {"text": "Filling the hole…", "trouble": "", "progress": 40}
FILLED = {"text": "Filled in 2.0 s.", "trouble": "", "progress": None}
WRONG = {"text": "", "trouble": "The seed is a whole number.", "progress": None}


@pytest.fixture(scope="module")
def decider(browser: Browser) -> Page:
    """A page that has nothing but `decide`."""
    page = browser.new_page()
    script = static.text("state.js", GONE="gone")
    decide = script[script.index("function decide") : script.index("// Whether there is a hole")]
    page.add_script_tag(content=f'const HELP = "help", GONE = "gone", LOST = "lost"; {decide}')
    return page


@pytest.mark.parametrize(
    ("now", "status", "works"),
    [
        ({}, "Ready to fill", {"fill", "compare"}),
        ({"ready": False}, "Loading the model", set()),
        ({"photo": False, "hole": "none"}, "Loading the model", set()),
        ({"blocked": "No weights."}, "No weights.", set()),
        ({"reading": 1, "said": FILLED, "filled": True}, "Reading the photo", {"fill", "compare"}),
        ({"reading": 1, "then": "fill"}, "Then it is filled", set()),
        ({"hole": "none", "said": FILLED}, "There is no hole yet", set()),
        ({"hole": "outside"}, "outside the square", set()),
        ({"said": RUNS, "running": RUNS}, "Filling the hole", {"stop"}),
        ({"running": RUNS}, "Ready to fill", {"fill", "compare", "stop"}),  # it is of another hole
        ({"said": FILLED, "filled": True}, "Filled in", {"fill", "compare", "again", "save", "strip", "gif", "use"}),
        ({"filled": True, "compared": True}, "Filled", {"fill", "compare", "save", "strip", "gif", "use"}),
        ({"stale": "hole"}, "The hole has changed", {"fill", "compare"}),
        ({"said": WRONG}, "The seed", {"fill", "compare"}),
        ({"lost": True, "said": RUNS}, "lost", set()),
        ({"gone": True, "said": FILLED, "filled": True}, "gone", {"save", "strip", "gif", "use"}),
    ],
)
def test_status_and_buttons_follow_from_what_is_there(
    decider: Page, now: dict[str, Any], status: str, works: set[str]
) -> None:
    found = decider.evaluate("now => decide(now)", READY | now)
    assert status in found["status"]["text"] + found["status"]["trouble"]
    known = {"fill", "compare", "again", "stop", "save", "strip", "gif", "use"}
    assert {name for name, on in found["buttons"].items() if on and name in known} == works
    assert found["sliders"] == (not now.get("reading") and not now.get("blocked") and found["first"].endswith("one"))


def test_a_fill_that_is_asked_for_while_a_photo_is_read_comes_of_that_photo(page: Page) -> None:
    filled(page)
    before = masked(page)
    page.set_input_files("#painter [data-pick=open]", PORTRAIT)
    page.click("#fill")
    expect(page.locator("#status")).to_contain_text("Then it is filled")
    expect(page.locator("#save")).to_be_disabled()
    expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
    settle(page)
    assert masked(page).split()[0] != before.split()[0]
    assert page.locator("#pictures .csi-after").get_attribute("data-photo") == masked(page).split()[0]
    expect(page.locator("#painter .csi-presets [aria-pressed=true]")).to_have_text("Mouth")


def test_nothing_outlives_its_photo_or_its_hole(page: Page, tmp_path: Path) -> None:
    filled(page)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    page.set_input_files("#painter [data-pick=open]", broken)
    said = page.locator("#painter .csi-say")
    expect(said).to_contain_text("not a picture that can be read", timeout=PATIENCE)
    expect(page.locator("#status")).to_contain_text("Filled in")  # the photo is there, and its fill
    upload(page, PORTRAIT)
    expect(said).not_to_contain_text("not a picture")
    expect(page.locator("#status")).to_contain_text("Ready to fill")
    expect(page.locator("#save")).to_be_disabled()
    expect(page.locator("#pictures")).to_be_hidden()
    after(page, lambda: page.click("#painter [data-act=clear]"))
    expect(page.locator("#status")).to_contain_text("There is no hole yet")
    expect(page.locator("#fill")).to_be_disabled()
    assert page.locator("#steer").evaluate("steer => steer.inert")
    preset(page, "Nose")
    expect(page.locator("#status")).not_to_contain_text("There is no hole yet")
    expect(page.locator("#fill")).to_be_enabled()


def test_twenty_uploads_in_a_row_end_with_the_last(page: Page, tmp_path: Path) -> None:
    for number in range(20):
        file = tmp_path / f"{number}.png"
        Image.new("RGB", (64, 64), (10 * number, 100, 100)).save(file)
        page.set_input_files("#painter [data-pick=open]", file)
    settle(page)
    expect(page.locator("#status")).to_contain_text("Ready to fill", timeout=PATIENCE)
    middle = "canvas => [...canvas.getContext('2d').getImageData(canvas.width / 2, canvas.height / 4, 1, 1).data]"
    assert page.locator("#painter canvas").evaluate(middle)[0] == pytest.approx(190, abs=3)


@pytest.mark.parametrize(
    "size",
    [(1366, 650), *(pytest.param(size, marks=pytest.mark.slow) for size in ((1280, 900), (390, 844)))],
    ids=["laptop", "desk", "phone"],
)
def test_slider_moves_are_undone_in_their_order_with_the_picture(browser: Browser, url: str, size: Any) -> None:
    with opened(browser, url, viewport={"width": size[0], "height": size[1]}) as page:
        set_number(page, "samples", 1)
        first, slider = filled(page), page.locator("#slider-0 input[type=range]")
        start = slider.input_value()
        slider.press("ArrowLeft")
        settle(page)
        moved = slider.input_value()
        assert moved != start
        preset(page, "Eyes")
        page.get_by_role("button", name="Eyes", exact=True).focus()  # where the focus is after a click
        for expected in (moved, start):
            page.keyboard.press("Control+z")
            page.wait_for_timeout(400)
            settle(page)
            expect(slider).to_have_value(expected)
        expect(page.locator("#pictures .csi-after")).to_have_attribute("src", first)
        expect(page.locator("#status")).to_contain_text("Filled in")
        page.keyboard.press("Control+y")
        settle(page)
        expect(slider).to_have_value(moved)


def test_again_draws_the_next_seeds(page: Page) -> None:
    set_number(page, "samples", 1)
    seed = int(page.locator("#seed input").input_value())
    first = filled(page)
    page.click("#again")
    expect(page.locator("#seed input")).to_have_value(str(seed + 1))
    expect(page.locator("#pictures .csi-after")).not_to_have_attribute("src", first, timeout=PATIENCE)
    expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)


def test_the_fill_stands_while_a_slider_moves_and_nothing_shifts(page: Page) -> None:
    filled(page)
    page.evaluate("""() => {
      window.rows = 0;
      window.tops = new Set();
      const pictures = document.querySelector("#pictures"), steer = document.querySelector("#steer");
      new MutationObserver(() => { window.rows += pictures.querySelectorAll(".csi-now").length; })
        .observe(pictures, {childList: true, subtree: true, attributes: true});
      const note = () => { window.tops.add(Math.round(steer.offsetTop)); requestAnimationFrame(note); };
      note();
    }""")
    page.locator("#slider-0 input[type=range]").press("End")
    settle(page)
    assert page.evaluate("window.rows") == 0
    assert page.evaluate("window.tops.size") == 1
    page.click("#surprise")
    expect(page.locator("#status .csi-bar")).to_be_visible(timeout=1000)
    settle(page)


def test_a_decimal_comma_is_a_point(page: Page) -> None:
    field = page.locator("#slider-0 input[type=number]")
    field.fill("")
    field.press_sequentially("0,5")
    assert field.input_value() == "0.5"


def test_what_a_paste_becomes(page: Page) -> None:
    data = base64.b64encode((ROOT / "examples" / "astronaut.png").read_bytes()).decode()
    unfold(page, "#settings")
    field = "#seed input"
    assert not page.evaluate(PASTE, [data, "12", field]), "text goes into the field that has the focus"
    assert page.evaluate(PASTE, [data, "", field]), "a picture alone becomes the photo"
    settle(page)
    assert page.evaluate(PASTE, [data, "12", "#painter canvas"])
    settle(page)
    assert page.evaluate(PASTE, [data, "12", ""])
    settle(page)


def test_the_language_and_what_the_canvas_shows(browser: Browser, url: str) -> None:
    with opened(browser, url, locale="de-DE", viewport={"width": 1280, "height": 900}) as page:
        assert page.evaluate("document.documentElement.lang") == "en"
        canvas = page.locator("#painter canvas")
        assert "the hole: mouth" in (canvas.get_attribute("aria-label") or "")
        filled(page)
        page.locator("#painter .csi-cut").press("End")
        said = canvas.get_attribute("aria-label") or ""
        assert "mouth filled, No. 1 of 2, before and after at 100 %" in said


@pytest.mark.slow
def test_a_server_that_starts_anew_is_said_and_the_photo_asked_for(browser: Browser, tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        page = browser.new_page()
        page.goto(server.url)
        expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
        server.process.terminate()
        server.process.wait(20)
        page.click("#fill")
        expect(page.locator("#status")).to_contain_text("does not answer", timeout=PATIENCE)
        expect(page.locator("#fill")).to_be_disabled()
        server.start()
        expect(page.locator("#status")).to_contain_text("no longer here", timeout=PATIENCE)
        expect(page.locator("#fill")).to_be_disabled()
        page.set_input_files("#painter [data-pick=open]", PORTRAIT)
        page.click("#fill")
        expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
        page.close()


@pytest.mark.slow
def test_a_slider_that_moves_while_code_compiles_is_followed_afterwards(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in (ROOT / "csi_demo" / "sampling" / "__pycache__").glob("kernels-*"):
        (tmp_path / made.name).mkdir()  # nothing is copied to where there is a folder
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    with serving(tmp_path) as server:
        page = browser.new_page()
        page.goto(server.url)
        slider = page.locator("#slider-0 input[type=range]")
        expect(slider).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
        slider.press("End")
        expect(page.locator("#status")).to_contain_text("The sliders have moved")
        expect(page.locator("#painter .csi-say")).to_contain_text("code for this processor is compiled")
        expect(page.locator("#status")).to_contain_text("Filled in", timeout=4 * PATIENCE)
        expect(page.locator("#note")).to_contain_text("the picture follows", timeout=PATIENCE)
        page.close()


@pytest.mark.slow
def test_back_and_a_reload_in_the_midst_begin_anew(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(url)
    for leave in (page.reload, lambda: (page.goto("about:blank"), page.go_back())):
        expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
        page.click("#compare")
        expect(page.locator("#stop")).to_be_enabled()
        page.wait_for_timeout(1000)
        leave()
        expect(page.locator("#fill")).to_be_enabled(timeout=PATIENCE)
        expect(page.locator("#status")).to_contain_text("Ready to fill")
        expect(page.locator("#stop")).to_be_disabled()
        expect(page.locator("#save")).to_be_disabled()
    page.click("#fill")
    expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
    page.close()


@pytest.mark.slow
def test_two_tabs_have_each_their_own_photo(browser: Browser, url: str) -> None:
    with opened(browser, url) as first, opened(browser, url) as second:
        upload(second, PORTRAIT)
        first.click("#fill")
        filled(second)
        expect(first.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
        photos = [page.locator("#pictures .csi-after").get_attribute("data-photo") for page in (first, second)]
        assert photos == [masked(page).split()[0] for page in (first, second)]
        assert len(set(photos)) == 2
        first.click("#again")
        expect(second.locator("#status")).to_contain_text("Filled in")


def test_fills_of_a_visit_stand_side_by_side(page: Page) -> None:
    filled(page)
    page.click("#pictures [data-beside]")
    expect(page.locator("#beside figure")).to_have_count(2, timeout=PATIENCE)
    expect(page.locator("#beside figure img").first).to_be_in_viewport()

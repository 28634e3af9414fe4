"""The page in Chromium, served by ``python app.py`` with the real weights."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from csi_demo import masks

from ..server import ROOT
from .browsing import (
    PASTE,
    PATIENCE,
    PORTRAIT,
    after,
    downloaded,
    filled,
    masked,
    on_canvas,
    paint,
    preset,
    set_number,
    settle,
    touch,
    unfold,
    upload,
)


def test_an_upload_is_painted_filled_steered_and_downloaded(page: Page, tmp_path: Path) -> None:
    picture = Image.open(PORTRAIT).resize((1800, 1800))  # larger than what is painted on
    picture.save(tmp_path / "holiday.png")
    upload(page, tmp_path / "holiday.png")
    expect(page.locator("#status")).to_contain_text("Ready to fill")  # the mouth, until something else is painted
    expect(page.locator("#painter [data-act=undo]")).to_be_disabled()
    page.click("#painter [data-act=clear]")
    # The portrait's face lies around (0.44, 0.2) of the photo.
    whole = after(page, lambda: paint(page, [(0.40, 0.26), (0.46, 0.27)]))
    assert after(page, lambda: page.click("#painter [data-act=clear]")) != whole
    assert after(page, lambda: page.click("#painter [data-act=undo]")) == whole

    set_number(page, "samples", 2)
    settle(page)  # the sliders follow the hole
    slider = page.locator("#slider-0 input[type=number]")
    first, start = filled(page), slider.input_value()
    set_number(page, "slider-0", -3 if float(start) > 0 else 3)
    steered = filled(page)
    assert steered != first
    assert masked(page) == whole

    page.click("#pictures [data-sample='1']")
    expect(page.locator("#pictures [data-sample='1']")).to_have_attribute("aria-pressed", "true")
    settle(page)
    original, result = np.asarray(picture), downloaded(page, r"holiday-csi-seed-3-.+\.png")
    assert result.shape == original.shape
    rows, columns = np.nonzero((result != original).any(-1))
    assert 0.34 < columns.min() / 1800 < columns.max() / 1800 < 0.52  # the stroke and the brush's width around it
    assert 0.22 < rows.min() / 1800 < rows.max() / 1800 < 0.31

    after(page, lambda: page.click("#use"))
    expect(page.locator("#status")).to_contain_text("There is no hole yet")
    preset(page, "Eyes")
    filled(page)
    chained = downloaded(page, r"holiday-csi-seed-[23].*\.png")  # the likeliest is shown first
    kept = (chained == result).all(-1)
    assert kept[rows, columns].all()  # the first hole, below the eyes, stays as it was filled
    assert not kept.all()


def test_seed_sliders_and_reset_on_an_aligned_frame(page: Page) -> None:
    after(page, lambda: page.click("#examples [data-example='2']"))
    unfold(page, "#settings")
    expect(page.locator("#seed input")).to_have_value("0")
    preset(page, "Nose")  # while the sliders of the example's own hole are still on their way
    set_number(page, "samples", 1)
    settle(page)
    slider = page.locator("#slider-0 input[type=number]")
    first, start = filled(page), slider.input_value()
    set_number(page, "slider-0", -3 if float(start) > 0 else 3)
    assert filled(page) != first
    page.click("#reset")
    expect(slider).to_have_value(start)
    assert filled(page) == first
    unfold(page, "#hood")
    page.click("#where label:has-text('64x64')")
    expect(page.locator("#pictures [data-kind=frame]")).to_be_attached()
    smooth = page.locator("#pictures .csi-after").get_attribute("src") or ""
    page.click("#look label:has-text('Crisp')")
    expect(page.locator("#pictures .csi-after")).not_to_have_attribute("src", smooth)


def test_fingers_paint_on_a_phone(phone: Page) -> None:
    assert "dark" in (phone.locator("body").get_attribute("class") or "")
    expect(phone.locator("#painter [data-act=camera]")).to_be_visible()
    empty = after(phone, lambda: phone.click("#painter [data-act=clear]"))
    # The portrait's face lies around (0.44, 0.2) of the photo.
    stroke = [(0.44, 0.16), (0.44, 0.18), (0.44, 0.24)]
    on_canvas(phone, stroke)  # in sight
    top = phone.evaluate("scrollY")
    painted = after(phone, lambda: touch(phone, [stroke]))
    assert phone.evaluate("scrollY") == top, "the page scrolled under the finger"
    assert after(phone, lambda: phone.click("#painter [data-act=undo]")) == empty
    touch(phone, [stroke, [(0.6, y) for _, y in stroke]])  # two fingers do not paint
    assert after(phone, lambda: touch(phone, [stroke])) == painted
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    filled(phone)


@pytest.mark.slow
def test_a_pen_paints_and_the_eraser_takes_paint_away(page: Page) -> None:
    empty = after(page, lambda: page.click("#painter [data-act=clear]"))
    browser, spots = page.context.new_cdp_session(page), on_canvas(page, [(0.42, 0.26), (0.46, 0.27)])

    def pen() -> None:
        for kind, (x, y) in zip(("mousePressed", "mouseMoved", "mouseReleased"), (*spots, spots[-1]), strict=True):
            about = {"pointerType": "pen", "button": "left", "buttons": 1, "clickCount": 1, "force": 0.5}
            browser.send("Input.dispatchMouseEvent", {"type": kind, "x": x, "y": y, **about})

    page.evaluate("document.addEventListener('pointerdown', (event) => { window.kind = event.pointerType; }, true)")
    painted = after(page, pen)
    assert page.evaluate("window.kind") == "pen"
    page.click("#painter [data-tool=erase]")
    page.locator("#painter .csi-size input").fill("40")
    some = after(page, lambda: paint(page, [(0.36, 0.26), (0.40, 0.26)]))
    assert some not in (painted, empty)
    assert after(page, lambda: paint(page, [(0.36, 0.26), (0.5, 0.27)])) == empty
    assert after(page, lambda: page.click("#painter [data-act=undo]")) == some
    assert after(page, lambda: page.click("#painter [data-act=undo]")) == painted


@pytest.mark.slow
def test_photos_are_dropped_and_pasted(page: Page) -> None:
    browser, (spot,) = page.context.new_cdp_session(page), on_canvas(page, [(0.44, 0.2)])
    dragged = {"items": [], "files": [str(ROOT / "examples" / "face-1.png")], "dragOperationsMask": 1}

    def drag(kind: str) -> None:
        browser.send("Input.dispatchDragEvent", {"type": kind, "x": spot[0], "y": spot[1], "data": dragged})

    drag("dragEnter")
    drag("dragOver")
    expect(page.locator("#painter .csi-drop")).to_be_visible()
    dropped = after(page, lambda: drag("drop"))
    expect(page.locator("#painter .csi-drop")).to_be_hidden()
    data = base64.b64encode((ROOT / "examples" / "astronaut.png").read_bytes()).decode()
    pasted = after(page, lambda: page.evaluate(PASTE, [data, "", ""]))
    assert pasted != dropped
    filled(page)  # the mouth, the hole after a photo has come
    left, top = on_canvas(page, [(0.0, 0.0)])[0]
    right, bottom = on_canvas(page, [(1.0, 1.0)])[0]
    assert right - left == pytest.approx(bottom - top, abs=1)
    assert right - left > 384, "a small photo is shown enlarged"
    before = np.asarray(Image.open(ROOT / "examples" / "astronaut.png"))
    result = downloaded(page, r"image-csi-seed-2\.png")
    assert result.shape == before.shape
    changed = (before != result).any(-1)
    assert changed[44:58, 20:44].any()
    changed[~masks.family("mouth")] = False
    assert not changed.any()


@pytest.mark.slow
def test_the_second_face_of_a_group_is_filled(page: Page, tmp_path: Path) -> None:
    group = Image.new("RGB", (1100, 600), (120, 130, 140))
    portrait = Image.open(PORTRAIT)
    corners = {300: (20, 200), 512: (330, 30), 230: (850, 100)}
    for size, corner in corners.items():
        group.paste(portrait.resize((size, size), Image.Resampling.LANCZOS), corner)
    group.save(tmp_path / "party.png")
    upload(page, tmp_path / "party.png")
    expect(page.locator("#painter .csi-say")).to_contain_text("3 faces were found")
    after(page, lambda: page.click("#face label:has-text('3')"))
    ((x, y),) = on_canvas(page, [((20 + 0.44 * 300) / 1100, (200 + 0.2 * 300) / 600)])
    after(page, lambda: page.mouse.click(x, y))
    expect(page.locator("#face label:has-text('2') input")).to_be_checked()
    filled(page)  # of the mouth, the hole after an upload
    before, result = np.asarray(group), downloaded(page, r"party-csi-seed-2\.png")
    rows, columns = np.nonzero((result != before).any(-1))
    # The portrait's mouth lies around (0.44, 0.28) of it; the second largest face is that of the left one.
    assert 20 + 0.36 * 300 < columns.min() < columns.max() < 20 + 0.52 * 300
    assert 200 + 0.22 * 300 < rows.min() < rows.max() < 200 + 0.34 * 300


@pytest.mark.slow
def test_keys_paint_and_escape_cancels(page: Page) -> None:
    empty = after(page, lambda: page.click("#painter [data-act=clear]"))
    page.locator("#painter canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.down(" ")
    page.keyboard.press("Escape")
    page.keyboard.up(" ")
    assert masked(page) == empty
    painted = after(page, lambda: page.keyboard.press(" "))
    assert after(page, lambda: page.keyboard.press("Control+z")) == empty
    assert after(page, lambda: page.keyboard.press(" ")) == painted
    page.click("#painter [data-act=clear]")
    expect(page.locator("#status")).to_contain_text("There is no hole yet")
    expect(page.locator("#fill")).to_be_disabled()


def test_bad_uploads_are_explained_and_the_photo_stays(page: Page, tmp_path: Path) -> None:
    broken, tiny = tmp_path / "holiday.png", tmp_path / "tiny.png"
    broken.write_bytes(b"no picture")
    Image.new("RGB", (1, 1)).save(tiny)
    said = page.locator("#painter .csi-say")
    for file, message in ((broken, "not a picture that can be read"), (tiny, "at least 16x16")):
        page.set_input_files("#painter [data-pick=open]", file)
        expect(said).to_contain_text(message)
    with (tmp_path / "large.png").open("wb") as large:
        large.truncate(129 * 2**20)
    page.set_input_files("#painter [data-pick=open]", tmp_path / "large.png")
    expect(said).to_contain_text("larger than 128 MB")
    preset(page, "Nose")

    for size in ((20, 5000), (5000, 20)):  # the case: "Reading the photo…" stayed for ever
        Image.linear_gradient("L").resize(size).save(tmp_path / "strip.png")
        page.set_input_files("#painter [data-pick=open]", tmp_path / "strip.png")
        expect(said).to_contain_text(f"{size[0]}x{size[1]} pixels: it is too narrow to be painted on")
    preset(page, "Mouth")

    Image.linear_gradient("L").resize((300, 200)).save(tmp_path / "sky.png")
    upload(page, tmp_path / "sky.png")
    expect(said).to_contain_text("No face was found")
    unfold(page, "#place")
    after(page, lambda: set_number(page, "place-size", 80))
    preset(page, "Mouth")


def test_stop_ends_a_fill_and_keeps_what_is_drawn(page: Page) -> None:
    preset(page, "All")
    set_number(page, "samples", 8)
    page.click("#fill")
    expect(page.locator("#pictures .csi-strip img")).to_have_count(8, timeout=PATIENCE)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped at", timeout=PATIENCE)
    expect(page.locator("#fill")).to_be_enabled()
    expect(page.locator("#save")).to_be_disabled()
    tiles = page.locator("#pictures .csi-strip")
    kept = tiles.inner_html()
    page.wait_for_timeout(1500)
    assert tiles.inner_html() == kept
    expect(page.locator("#status")).to_contain_text("Stopped at")


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for right in (
        "document.documentElement.scrollWidth",
        "document.querySelector('#painter canvas').getBoundingClientRect().right",
    ):
        page.wait_for_function(f"{right} <= {width}")  # the canvas follows the window a moment later


@pytest.mark.slow
def test_a_full_queue_is_told_and_the_fill_can_be_tried_again(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(url)
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#painter .csi-ready")).to_be_visible(timeout=PATIENCE)
    answer = {"status": 503, "json": {"detail": "Queue is full. Max size is 32 and size is 32."}}
    page.route("**/queue/join*", lambda route: route.fulfill(**answer))
    page.locator("#fill").click()
    expect(page.locator("#status")).to_contain_text("Too many are waiting")
    expect(page.locator("#fill")).to_be_enabled()
    expect(page.locator("#stop")).to_be_disabled()
    page.unroute("**/queue/join*")
    filled(page)
    page.close()

"""The painter in Chromium, by mouse, touch and keys: its tools, the result in the photo, the results of a visit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from .browsing import (
    PATIENCE,
    PORTRAIT,
    after,
    filled,
    masked,
    opened,
    paint,
    preset,
    set_number,
    settle,
    told,
    touch,
    unfold,
)

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
SHOWN = "document.querySelector('#painter canvas').toDataURL()"


def shown(page: Page) -> str:
    """What is to be seen on the canvas, once it is drawn."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return page.evaluate(SHOWN)


def hole(page: Page) -> np.ndarray:
    """The hole as a flat boolean array, True = to be filled."""
    lengths = np.array(masked(page).split("[")[1].rstrip("]").split(","), dtype=int)
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths)


def region(page: Page) -> list[float]:
    return [float(number) for number in (page.locator("#painter canvas").get_attribute("data-region") or "").split()]


def box(page: Page, selector: str) -> dict[str, float]:
    found = page.locator(selector).bounding_box()
    assert found
    return dict(found)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1366, 650), (390, 844), (1280, 900)], ids=["laptop", "phone", "desktop"])
def test_the_fill_and_the_slider_that_is_moved_are_seen_at_once(
    browser: Browser, url: str, size: tuple[int, int]
) -> None:
    with opened(browser, url, viewport={"width": size[0], "height": size[1]}) as page:
        filled(page)
        expect(page.locator("#painter .csi-filled")).to_be_visible()
        slider = page.locator("#slider-2 input[type=range]")
        slider.scroll_into_view_if_needed()
        first = shown(page)
        slider.focus()
        for _ in range(9):
            page.keyboard.press("ArrowRight")
        settle(page)
        assert shown(page) != first
        stage, moved = box(page, "#painter .csi-stage"), box(page, "#slider-2 input[type=range]")
        assert stage["y"] >= 0
        assert stage["y"] + stage["height"] <= size[1]
        assert moved["y"] + moved["height"] <= size[1]
        assert moved["x"] >= stage["x"] + stage["width"] or moved["y"] >= stage["y"] + stage["height"]
        # The face is seen large: the portrait's square, a quarter of the photo, takes most of the picture.
        assert min(region(page)[2:]) < 200
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


def test_before_and_after_on_the_photo_and_what_is_stale(page: Page) -> None:
    expect(page.locator("#painter .csi-cut")).to_be_hidden()
    painted = shown(page)
    filled(page)
    cut = page.locator("#painter .csi-cut")
    expect(cut).to_be_visible()
    done = shown(page)
    assert done != painted
    cut.focus()
    page.keyboard.press("End")
    expect(cut).to_have_attribute("aria-valuetext", "100 % before, 0 % after")
    whole = shown(page)
    assert whole not in (done, painted)
    page.keyboard.press("Home")
    assert shown(page) == done
    eye = box(page, "#painter [data-act=original]")
    page.mouse.move(eye["x"] + 5, eye["y"] + 5)
    page.mouse.down()
    expect(page.locator("#painter .csi-tag")).to_have_text("Original")
    page.mouse.up()
    expect(page.locator("#painter .csi-tag")).to_be_hidden()
    stale = page.locator(".csi-stale")
    expect(stale).to_have_count(0)
    preset(page, "Eyes")
    expect(stale).to_have_count(1)
    expect(page.locator("#painter .csi-cut")).to_be_hidden()
    expect(page.locator("#status")).to_contain_text("The hole has changed")
    after(page, lambda: page.click("#painter [data-act=undo]"))
    expect(stale).to_have_count(0)
    assert shown(page) == done


def test_tools_for_holes(page: Page, tmp_path: Path) -> None:
    page.click("#examples [data-example='2']")  # a frame: the photo is the square
    settle(page)
    mouth = (preset(page, "Mouth"), hole(page))[1]
    eyes = (preset(page, "Eyes"), hole(page))[1]
    button = page.get_by_role("button", name="Mouth", exact=True)
    after(page, lambda: button.click(modifiers=["Shift"]))
    assert np.array_equal(hole(page), mouth | eyes)
    after(page, lambda: button.click(modifiers=["Alt"]))
    assert np.array_equal(hole(page), eyes & ~mouth)
    inverted = (after(page, lambda: page.click("#painter [data-act=invert]")), hole(page))[1]
    assert np.array_equal(inverted, ~(eyes & ~mouth))
    page.locator("#painter canvas").focus()
    for key in ("Control+z", "Control+z", "Control+Shift+z"):
        after(page, lambda key=key: page.keyboard.press(key))  # type: ignore[misc]
    assert np.array_equal(hole(page), eyes & ~mouth)
    after(page, lambda: page.keyboard.press("Control+y"))
    assert np.array_equal(hole(page), inverted)
    expect(page.locator("#painter [data-act=redo]")).to_be_disabled()

    after(page, lambda: page.click("#painter [data-act=clear]"))
    page.click("#painter [data-tool=box]")
    after(page, lambda: paint(page, [(0.25, 0.25), (0.75, 0.5)]))
    square = hole(page).reshape(64, 64)
    rows, columns = np.nonzero(square)
    assert (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1) == pytest.approx((16, 32, 16, 48), abs=1)
    assert square.sum() == pytest.approx(16 * 32, rel=0.1)
    page.click("#painter [data-tool=lasso]")
    after(page, lambda: paint(page, [(0.1, 0.6), (0.9, 0.6), (0.5, 0.95)]))
    assert (hole(page).reshape(64, 64) & ~square).sum() == pytest.approx(0.5 * 51 * 22, rel=0.2)

    levels = np.full((128, 128), 255, dtype=np.uint8)
    levels[40:60, 20:100] = 0
    Image.fromarray(levels).save(tmp_path / "mask.png")
    after(page, lambda: page.set_input_files("#painter [data-pick=mask]", tmp_path / "mask.png"))
    assert np.array_equal(hole(page).reshape(64, 64), levels[::2, ::2] == 0)


@pytest.mark.slow
def test_keys_zoom_and_what_lies_outside_the_square(page: Page) -> None:
    page.keyboard.press("?")
    expect(page.locator("#painter dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#painter dialog")).to_be_hidden()
    near = region(page)
    page.locator("#painter canvas").focus()
    page.keyboard.press("0")
    whole = region(page)
    assert whole[2] > 2 * near[2]
    canvas = box(page, "#painter canvas")
    page.mouse.move(canvas["x"] + canvas["width"] / 2, canvas["y"] + canvas["height"] / 2)
    page.mouse.wheel(0, -300)
    page.wait_for_function(
        f"Number(document.querySelector('#painter canvas').dataset.region.split(' ')[2]) < {whole[2]}"
    )
    page.keyboard.press("0")  # the face again, or the whole photo
    page.keyboard.press("0")
    count, before = told(page)
    paint(page, [(0.9, 0.8), (0.95, 0.9)])
    expect(page.locator("#painter .csi-say")).to_contain_text("Only the square is filled in")
    expect(page.locator("#painter [data-act=undo]")).to_be_disabled()
    assert told(page) == (count, before)
    page.click("#painter [data-tool=square]")
    after(page, lambda: paint(page, [(0.44, 0.2), (0.54, 0.3)]))
    unfold(page, "#place")
    assert abs(float(page.locator("#place-x input").input_value()) - 0.1 * 512 - 225) < 12
    page.locator("#painter canvas").focus()
    preset(page, "Mouth")
    page.locator("#painter canvas").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#painter .csi-filled")).to_be_visible(timeout=PATIENCE)


def test_results_of_a_visit(page: Page) -> None:
    set_number(page, "samples", 1)
    picture = page.locator("#pictures .csi-after")
    first, visit = filled(page), page.locator("#visit .csi-visit")
    seen = shown(page)
    expect(visit).to_be_hidden()
    set_number(page, "slider-0", -2)
    expect(picture).not_to_have_attribute("src", first)
    preset(page, "Eyes")
    filled(page)
    expect(visit.locator("[data-result]")).to_have_count(3)
    page.get_by_role("button", name="Pin result 2", exact=True).click()
    after(page, lambda: page.get_by_role("button", name="Go back to result 1", exact=True).click())
    expect(picture).to_have_attribute("src", first)
    expect(page.locator("#slider-0")).to_contain_text("Smile")
    page.locator("#painter .csi-cut").press("End")
    expect(page.locator("#painter .csi-tag")).to_contain_text("Pinned")
    pinned = shown(page)
    page.get_by_role("button", name="Pin result 2", exact=True).click()  # not any more
    assert shown(page) not in (pinned, seen)
    page.locator("#painter .csi-cut").press("Home")
    assert shown(page) == seen

    before = masked(page)
    assert after(page, lambda: page.click("#use")) != before
    expect(page.locator("#status")).to_contain_text("There is no hole yet")
    assert after(page, lambda: page.click("#painter [data-act=undo]")) == before


@pytest.mark.slow
def test_a_first_visit_is_shown_around_once(browser: Browser, url: str, tmp_path: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(url)
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    steps = page.locator("#painter .csi-steps")
    expect(steps).to_be_visible()
    page.set_input_files("#painter [data-pick=open]", PORTRAIT)  # a click on "Choose a photo"
    page.click("#fill")
    clicks = 2
    expect(page.locator("#painter .csi-filled")).to_be_visible(timeout=PATIENCE)
    expect(steps.locator(".csi-done")).to_have_count(2)
    page.locator("#slider-0 input[type=range]").press("ArrowLeft")
    clicks += 1
    assert clicks <= 5
    expect(steps).to_be_hidden()
    page.reload()
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    expect(steps).to_be_hidden()
    context.close()


def violations(page: Page) -> list[Any]:
    options = {"runOnly": {"type": "tag", "values": WCAG}, "resultTypes": ["violations"]}
    found = Axe().run(page, options=options).response["violations"]
    return [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_nothing_violates_the_guidelines_for_accessibility(browser: Browser, url: str, scheme: Any) -> None:
    with opened(browser, url, viewport={"width": 1280, "height": 900}, color_scheme=scheme) as page:
        assert violations(page) == []
        filled(page)
        for fold in ("#settings", "#place", "#hood", "#more", "#traversal"):
            unfold(page, fold)
        page.click(".csi-share summary")
        page.click("[data-evidence]")
        expect(page.locator("#slider-0 .info-text")).to_be_visible()
        page.click("#surprise")
        expect(page.locator("#visit .csi-visit")).to_be_visible(timeout=PATIENCE)
        settle(page)
        assert violations(page) == []
        levels = [int(tag[1]) for tag in page.eval_on_selector_all("h1, h2, h3", "all => all.map(one => one.tagName)")]
        assert levels.count(1) == 1
        assert levels[0] == 1
        expect(page.locator("#slider-0 button.reset-button")).to_have_attribute("aria-label", "Reset Smile")
        page.click("#painter [data-act=help]")
        assert violations(page) == []


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "dark")])
def test_nothing_of_the_editor_violates_the_guidelines(browser: Browser, url: str, width: int, scheme: Any) -> None:
    with opened(browser, url, viewport={"width": width, "height": 900}, color_scheme=scheme) as page:
        page.get_by_role("tab", name="Edit").click()
        expect(page.locator("#editor .csi-ready")).to_be_visible(timeout=PATIENCE)
        expect(page.locator("#editor .csi-say")).to_contain_text("Choose a colour")
        assert violations(page) == []
        canvas = page.locator("#editor canvas")
        canvas.scroll_into_view_if_needed()
        x, y, across, down = box(page, "#editor canvas").values()
        page.mouse.move(x + 0.45 * across, y + 0.35 * down)
        page.mouse.down()
        page.mouse.move(x + 0.55 * across, y + 0.35 * down, steps=4)
        page.mouse.up()
        expect(page.locator("#editor [data-act=undo]")).to_be_enabled(timeout=PATIENCE)
        page.click("#editor .csi-hood summary")
        expect(page.locator("#editor .csi-views img")).to_have_count(4, timeout=PATIENCE)
        page.click("#edit-share summary")
        settle(page)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


SMALL = """tools => [...document.querySelectorAll(`${tools} :is(button, summary, [type=color])`)].filter((one) => {
  const { width, height } = one.getBoundingClientRect();
  return one.offsetParent && (width < 44 || height < 44);
}).map((one) => one.outerHTML)"""


@pytest.mark.slow
def test_tools_of_a_phone_take_two_rows_and_are_as_large_as_a_finger(phone: Page) -> None:
    for part, tab in (("#painter", "#fill-tab"), ("#editor", "#edit-tab")):
        phone.get_by_role("tab", name=tab[1:5].capitalize()).click()
        expect(phone.locator(f"{part} .csi-ready")).to_be_visible(timeout=PATIENCE)
        assert box(phone, f"{part} .csi-stage")["y"] - box(phone, f"{part} [data-act=open]")["y"] < 120
        assert phone.evaluate(SMALL, tab) == []
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_the_picture_that_is_edited_is_seen_beside_its_sliders(phone: Page) -> None:
    phone.get_by_role("tab", name="Edit").click()
    expect(phone.locator("#editor .csi-ready")).to_be_visible(timeout=PATIENCE)
    tops = [box(phone, f"#editor {part}")["y"] for part in ("[data-act=undo]", "[data-tool=paint]", ".csi-stage")]
    assert tops == sorted(tops)
    slider = phone.locator("#editor [data-latent]").last
    slider.scroll_into_view_if_needed()
    stage, moved = box(phone, "#editor .csi-stage"), slider.bounding_box()
    assert moved
    assert 0 <= stage["y"] < moved["y"]
    assert stage["y"] + stage["height"] <= moved["y"] + 1


@pytest.mark.slow
def test_keys_reach_nothing_that_cannot_be_seen(page: Page) -> None:
    small: list[str] = []
    page.locator("body").press("Tab")
    for _ in range(60):
        about = page.evaluate(
            "() => { const one = document.activeElement, box = one.getBoundingClientRect();"
            "return [one.outerHTML.slice(0, 150), Math.min(box.width, box.height), one === document.body]; }"
        )
        if about[2]:
            break
        if about[1] < 12 and 'type="range"' not in about[0]:
            small.append(about[0])
        page.keyboard.press("Tab")
    assert small == []


@pytest.mark.slow
def test_a_swipe_beside_the_square_scrolls_the_page(phone: Page) -> None:
    phone.click("#painter [data-act=zoom]")  # the whole photo, most of which lies outside the square

    def swipe(x: float, y: float) -> float:
        top = phone.evaluate("scrollY")
        touch(phone, [[(x, y - 0.03 * step) for step in range(9)]])
        phone.wait_for_timeout(400)
        return phone.evaluate("scrollY") - top

    assert swipe(0.2, 0.75) > 60
    phone.evaluate("scrollTo(0, 0)")
    count, _ = told(phone)
    assert swipe(0.44, 0.3) == 0
    assert told(phone)[0] > count, "a finger in the square paints"

"""The sliders' own page parts: order by the hole, resets, surprise, sheets of what they do; with the real weights."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from csi_demo.ui.engine import FIRST_CONTROLS

from .browsing import PATIENCE, filled, preset, set_number, settle, unfold


def labels(page: Page) -> list[str]:
    """Of the sliders that are not folded away, in order."""
    return page.locator("#main [data-testid=block-info]").all_inner_texts()


def numbers(page: Page) -> list[str]:
    fields = page.locator("#main input[type=number]")
    return [fields.nth(index).input_value() for index in range(fields.count())]


def test_a_mouth_brings_other_sliders_to_the_top_than_eyes(page: Page) -> None:
    settle(page)
    mouth = labels(page)
    assert 3 <= len(mouth) <= FIRST_CONTROLS
    preset(page, "Eyes")
    settle(page)
    eyes = labels(page)
    assert mouth[:3] != eyes[:3]
    assert set(mouth) != set(eyes)


@pytest.mark.slow
def test_evidence_is_a_click_away_and_covers_nothing(page: Page) -> None:
    settle(page)
    texts, sliders = page.locator("#main .info-text:visible"), page.locator("#main input[type=range]")
    expect(texts).to_have_count(0)
    page.click("[data-evidence]")
    expect(texts).to_have_count(sliders.count())
    for index in range(sliders.count()):
        text, slider = texts.nth(index).bounding_box(), sliders.nth(index).bounding_box()
        assert text
        assert slider
        assert text["y"] + text["height"] <= slider["y"]
    page.click("[data-evidence]")
    expect(texts).to_have_count(0)


def test_surprise_and_both_resets(page: Page) -> None:
    settle(page)
    start, first = numbers(page), filled(page)
    page.click("#surprise")
    settle(page)
    surprised = numbers(page)
    assert surprised != start
    expect(page.locator("#pictures .csi-after")).not_to_have_attribute("src", first)
    moved = next(index for index, pair in enumerate(zip(start, surprised, strict=True)) if pair[0] != pair[1])
    page.click(f"#slider-{moved} button.reset-button")
    settle(page)
    assert numbers(page)[moved] == start[moved]
    page.click("#reset")
    settle(page)
    assert numbers(page) == start
    assert filled(page) == first


def test_presets_and_a_slider_that_is_held(page: Page) -> None:
    """A preset sets several sliders at once, and undo takes it back; what is held stays, until another photo comes."""
    settle(page)
    start, first, lock = numbers(page), filled(page), page.locator("#slider-0 .csi-lock")
    smile = page.locator("[data-preset='Big smile']")
    smile.click()
    settle(page)
    set_so = numbers(page)
    assert sum(before != after for before, after in zip(start, set_so, strict=True)) >= 2
    assert filled(page) != first
    page.keyboard.press("Control+z")
    settle(page)
    assert numbers(page) == start
    page.keyboard.press("Control+y")
    settle(page)
    assert numbers(page) == set_so
    lock.click()
    expect(lock).to_have_attribute("aria-pressed", "true")
    page.click("#reset")
    settle(page)
    assert numbers(page) == [set_so[0], *start[1:]]
    page.click("#surprise")
    settle(page)
    assert numbers(page)[0] == set_so[0]
    page.locator(".csi-examples button").nth(3).click()
    settle(page)
    expect(lock).to_have_attribute("aria-pressed", "false")


def sheet(page: Page) -> Image.Image:
    expect(page.locator("#sheet img")).to_be_visible(timeout=PATIENCE)
    source = page.locator("#sheet a").get_attribute("href") or ""
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


@pytest.mark.slow
def test_sheets_of_what_the_sliders_do(page: Page) -> None:
    settle(page)
    unfold(page, "#traversal")
    page.click("#rows")
    rows = sheet(page)
    assert rows.height > FIRST_CONTROLS * 128
    page.click("#grid")
    settle(page)
    grid = sheet(page)
    assert grid.size != rows.size


@pytest.mark.slow
def test_methods_without_controls_have_none_of_it(page: Page) -> None:
    unfold(page, "#settings")
    page.click("#method label:has-text('VAE one-shot')")
    settle(page)
    for part in ("#surprise", "#traversal", "#more"):
        expect(page.locator(part)).to_be_hidden()
    expect(page.locator("#option-0")).to_be_visible()
    set_number(page, "option-0", 3)

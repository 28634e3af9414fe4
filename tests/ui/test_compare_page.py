"""The methods in Chromium: switched, compared, and downloaded side by side; the server runs the real weights."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from csi_demo.methods import method_labels
from csi_demo.photo.sheets import MAX_FRAMES

from .browsing import PATIENCE, set_number, unfold


@pytest.fixture(autouse=True)
def small_steps(page: Page) -> None:
    """DCGAN is chosen and takes few steps."""
    unfold(page, "#settings")
    page.click("#method label:has-text('DCGAN')")
    expect(page.locator("#option-0")).to_contain_text("Steps", timeout=PATIENCE)
    set_number(page, "option-0", 6)
    set_number(page, "samples", 1)


def downloaded(page: Page, button: str) -> Image.Image:
    with page.expect_download(timeout=PATIENCE) as download:
        page.click(button)
    return Image.open(io.BytesIO(download.value.path().read_bytes()))


@pytest.mark.slow
def test_a_method_shows_its_options_and_what_it_optimises(page: Page) -> None:
    expect(page.locator("#options input[type=checkbox]")).to_have_count(5)
    expect(page.locator("#options input[type=range]")).to_have_count(4)
    expect(page.locator("#switch-0 input")).to_be_checked()
    page.click("#fill")
    expect(page.locator("#pictures .csi-figures")).to_contain_text("loss", timeout=PATIENCE)
    expect(page.locator("#pictures .csi-beside")).to_contain_text("Not blended")
    page.click("#switch-0 input")
    page.click("#fill")
    expect(page.locator("#pictures .csi-beside")).not_to_contain_text("Not blended", timeout=PATIENCE)
    expect(page.locator("#pictures .csi-figures")).to_contain_text("loss", timeout=PATIENCE)
    expect(page.locator("#pictures .csi-beside")).to_contain_text("G(z)")
    page.click("#method label:has-text('CSI')")
    expect(page.locator("#slider-0 input[type=range]")).to_be_visible(timeout=PATIENCE)
    expect(page.locator("#options input[type=checkbox]")).to_have_count(1)
    expect(page.locator("#options")).to_contain_text("Calm colours")


def test_all_methods_side_by_side_and_their_downloads(page: Page) -> None:
    page.click("#compare")
    expect(page.locator("#status")).to_contain_text("Compared", timeout=3 * PATIENCE)
    tiles = page.locator("#pictures [data-sample]")
    labels = list(method_labels().values())
    expect(tiles.locator("b")).to_have_text(labels)
    for index, figure in enumerate(("bits per dim", "loss", *["last change"] * 3, "bits per dim")):
        expect(tiles.nth(index)).not_to_contain_text(figure)
        expect(tiles.nth(index)).to_contain_text(" s")
        expect(page.locator("#pictures .csi-figures li").nth(index)).to_contain_text(figure)
    first = page.locator("#pictures .csi-after").get_attribute("src") or ""
    tiles.nth(1).click()
    expect(tiles.nth(1)).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#pictures .csi-after")).not_to_have_attribute("src", first)

    with downloaded(page, "#strip") as strip:
        assert strip.format == "PNG"
        assert strip.width > 256 * 4
        assert strip.height > 256 * 2  # a row cannot hold all of them
    with downloaded(page, "#gif") as moving:
        assert moving.format == "GIF"
        assert 12 <= getattr(moving, "n_frames", 1) <= MAX_FRAMES
        assert moving.info["loop"] == 0
    assert downloaded(page, "#save").size == (512, 512)


@pytest.mark.slow
def test_the_methods_to_compare_are_chosen_and_remembered(page: Page) -> None:
    page.click("#which button")
    page.click("#compared label:has-text('Gated PixelCNN')")
    expect(page.locator("#compare")).to_have_text(f"Compare {len(method_labels()) - 1}", timeout=PATIENCE)
    page.reload()
    expect(page.locator("#compare")).to_have_text(f"Compare {len(method_labels()) - 1}", timeout=PATIENCE)


@pytest.mark.slow
def test_stop_ends_a_comparison(page: Page) -> None:
    set_number(page, "option-0", 3000)  # DCGAN takes its time
    set_number(page, "option-2", 32)
    page.click("#compare")
    expect(page.locator("#pictures .csi-hold")).to_have_count(len(method_labels()) - 2, timeout=PATIENCE)
    page.click("#stop")
    expect(page.locator("#status")).to_contain_text("Stopped at", timeout=PATIENCE)
    expect(page.locator("#compare")).to_be_enabled()
    expect(page.locator("#pictures .csi-tile")).to_have_count(3)
    expect(page.locator("#strip")).to_be_disabled()

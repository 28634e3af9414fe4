"""Colours painted into the hole of the page, as a visitor does it in a browser."""

from __future__ import annotations

import io
from urllib.request import urlopen

import numpy as np
from PIL import Image
from playwright.sync_api import Page, expect

from .browsing import PATIENCE, filled, paint

AFTER = "#pictures .csi-after"
# A stroke over the mouth of the example, in shares of the photo.
LIPS = [(0.42, 0.29), (0.44, 0.295), (0.46, 0.29)]


def pixels(source: str) -> np.ndarray:
    with urlopen(source) as answer:
        return np.asarray(Image.open(io.BytesIO(answer.read())).convert("RGB")).astype(float)


def redness(picture: np.ndarray) -> float:
    return float((picture[..., 0] - picture[..., 1]).max())


def test_the_fill_obeys_a_colour_and_undo_takes_it_back(page: Page) -> None:
    before = filled(page)
    page.locator("#painter [data-tool=hint]").click()
    page.locator("#painter .csi-tint").fill("#e00030")
    paint(page, LIPS)
    expect(page.locator(AFTER)).not_to_have_attribute("src", before, timeout=PATIENCE)
    hinted = page.locator(AFTER).get_attribute("src") or ""
    expect(page.locator("#status")).to_contain_text("Filled in", timeout=PATIENCE)
    assert redness(pixels(hinted)) > redness(pixels(before)) + 20
    page.keyboard.press("Control+z")
    expect(page.locator(AFTER)).to_have_attribute("src", before, timeout=PATIENCE)


def test_colour_beside_the_hole_is_not_taken(page: Page) -> None:
    page.locator("#painter [data-tool=hint]").click()
    paint(page, [(0.42, 0.14), (0.44, 0.14)])
    expect(page.locator("#painter .csi-say")).to_contain_text("Colour is painted into the hole")
    expect(page.locator("#painter [data-act=undo]")).to_be_disabled()

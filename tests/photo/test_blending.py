"""Pasting a fill into a photo of higher resolution."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFilter

from csi_demo import masks
from csi_demo.photo import blending
from csi_demo.photo.placement import Placement
from csi_demo.pixels import to_bytes

PLACE = Placement(300.0, 260.0, 400.0, 12.0)
DRIFT = 25


def grainy(seed: int = 0, strength: float = 6.0) -> Image.Image:
    """A smooth photo of 600x520 with grain."""
    y, x = np.mgrid[:520, :600]
    smooth = np.stack((90 + 0.15 * x, 70 + 0.2 * y, 120 + 20 * np.sin(x / 90)), 2)
    noise = np.random.default_rng(seed).normal(0, strength, (*smooth.shape[:2], 1))
    return Image.fromarray(to_bytes(smooth + noise))


def drifted(photo: Image.Image) -> Image.Image:
    """The photo's own frame, darker by DRIFT: a fill that misses the colours around it."""
    return Image.fromarray(to_bytes(np.asarray(PLACE.frame(photo)).astype(float) - DRIFT))


def pasted(name: str, blend: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo, its hole, and the photo with a drifted fill."""
    photo = grainy()
    mask = PLACE.photo_mask(masks.family(name), photo.size)
    return np.asarray(photo).astype(float), ~mask, np.asarray(PLACE.paste(photo, mask, drifted(photo), blend))


def seam(picture: np.ndarray, hole: np.ndarray) -> float:
    """Mean step from a strip inside the hole's edge to one outside it."""
    area = Image.fromarray(hole)
    inner = hole & ~np.asarray(area.convert("L").filter(ImageFilter.MinFilter(9))).astype(bool)
    outer = ~hole & np.asarray(area.convert("L").filter(ImageFilter.MaxFilter(9))).astype(bool)
    return float(np.abs(picture[inner].mean(0) - picture[outer].mean(0)).mean())


@pytest.mark.parametrize("name", ["mouth", "eyes", "left"])
def test_blending_closes_the_seam_that_a_raw_paste_leaves(name: str):
    _, hole, raw = pasted(name, blend=False)
    photo, _, blended = pasted(name, blend=True)
    assert seam(raw, hole) > 0.8 * DRIFT
    assert seam(blended, hole) < 0.15 * DRIFT
    assert abs(blended[hole].mean() - photo[hole].mean()) < 0.2 * DRIFT


def test_grain_in_the_hole_is_as_strong_as_around_it():
    def strength(picture: np.ndarray, where: np.ndarray) -> float:
        return float((picture[1:] - picture[:-1])[where[1:] & where[:-1]].std())

    photo, hole, raw = pasted("mouth", blend=False)
    _, _, blended = pasted("mouth", blend=True)
    assert strength(raw.astype(float), hole) < 0.3 * strength(photo, ~hole)
    assert strength(blended.astype(float), hole) == pytest.approx(strength(photo, ~hole), rel=0.25)


def strands(photo: Image.Image, seed: int = 0) -> Image.Image:
    """The photo with hair over its left and upper half: dark and light strands a pixel or two wide."""
    pixels, rng = np.asarray(photo).astype(float), np.random.default_rng(seed)
    hair = 60.0 * rng.choice((-1.0, 1.0), (1, photo.width)).repeat(photo.height, 0)[..., None]
    y, x = np.mgrid[: photo.height, : photo.width]
    return Image.fromarray(to_bytes(np.where(((x < 0.48 * photo.width) | (y < 120))[..., None], pixels + hair, pixels)))


@pytest.mark.parametrize("refined", [False, True])
@pytest.mark.parametrize("size", [90.0, 140.0, 400.0])
@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_hair_around_the_hole_does_not_pass_for_grain(size: float, refined: bool, strength: float):
    """Noise in a smooth fill: at most that of the smooth parts of the ring, however much hair there is."""

    def noise(picture: np.ndarray, where: np.ndarray) -> float:
        steps = np.diff(picture.astype(float).mean(2), axis=0)[where[1:] & where[:-1]]
        return float(1.4826 * np.median(np.abs(steps)))

    place, photo = Placement(300.0, 260.0, size, 12.0), strands(grainy(strength=strength))
    mask = place.photo_mask("mouth", photo.size)
    fill = place.frame(grainy(strength=0.0), 128 if refined else 64)
    blended = np.asarray(place.paste(photo, mask, fill))
    inner = cv2.erode((~mask).view(np.uint8), np.ones((5, 5))).astype(bool)
    y, x = np.mgrid[: photo.height, : photo.width]
    smooth = mask & (x > 330) & (y > 140)
    assert noise(blended, inner) <= 1.1 * noise(np.asarray(photo), smooth) + 0.6
    if strength and not refined and size > 100:
        assert noise(blended, inner) >= 0.4 * noise(np.asarray(photo), smooth)


def test_what_the_hole_held_does_not_matter():
    photo = np.array(grainy())
    mask = PLACE.photo_mask(masks.family("eyes"), (600, 520))
    other = photo.copy()
    other[~mask] = np.random.default_rng(1).integers(0, 256, other[~mask].shape)
    fill = drifted(Image.fromarray(photo))
    first, second = (np.asarray(PLACE.paste(Image.fromarray(pixels), mask, fill)) for pixels in (photo, other))
    assert np.array_equal(first, second)


def test_the_membrane_of_a_slope_is_the_slope():
    y, x = np.mgrid[:50, :70].astype(np.float32)
    slope = np.stack((x, y, x + y), 2)
    known = np.zeros((50, 70), dtype=bool)
    known[[0, -1]] = known[:, [0, -1]] = True
    assert np.abs(blending.membrane(slope, known) - slope).max() < 0.02 * slope.max()


def test_a_fill_goes_on_beyond_its_hole():
    frame, hole = np.zeros((64, 64, 3), dtype=np.uint8), ~masks.family("mouth")
    frame[hole] = (10, 20, 30)
    near = cv2.dilate(hole.view(np.uint8), np.ones((2 * blending.CONTINUED + 1,) * 2, np.uint8)).astype(bool)
    continued = blending.extend(frame, hole)
    assert np.allclose(continued[near], (10, 20, 30), atol=1e-3)
    assert not continued[~near].any()

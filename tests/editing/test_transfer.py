"""Edit transfer: the paper's equation in the frame, and what becomes of it in a photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from csi_demo.editing import transfer
from csi_demo.photo.placement import Placement


def pictures(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """X, and R and G(z) that differ in the lower right quarter only; (64, 64, 3) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    frame, reconstruction = rng.uniform(-0.6, 0.6, (2, 64, 64, 3)).astype(np.float32)
    edited = reconstruction.copy()
    edited[36:56, 36:56] += 0.5 * rng.uniform(0.2, 1.0, (20, 20, 3)).astype(np.float32)
    return frame, edited, reconstruction


def levels(frame: np.ndarray) -> np.ndarray:
    return np.rint((frame + 1.0) * 127.5).clip(0, 255).astype(np.uint8)


def test_the_frame_is_the_papers_equation():
    frame, edited, reconstruction = pictures()
    delta, error = edited - reconstruction, frame - reconstruction
    amount = np.minimum(np.abs(delta).sum(2) / 3.0, 1.0)
    reach = np.arange(-4, 5)
    bell = np.exp(-(reach**2) / (2.0 * 0.7**2))
    bell /= bell.sum()
    padded = np.pad(amount, 4, mode="edge")
    rows = sum(weight * padded[4 + offset : 68 + offset] for weight, offset in zip(bell, reach, strict=True))
    mask = sum(weight * rows[:, 4 + offset : 68 + offset] for weight, offset in zip(bell, reach, strict=True))[
        ..., None
    ]
    expected = reconstruction + mask * delta + (1.0 - mask) * error
    assert np.abs(transfer.edit_frame(frame, edited, reconstruction) - expected).max() < 2e-3


def test_a_photo_that_is_the_frame_gets_the_same_pixels():
    frame, edited, reconstruction = pictures()
    photo = levels(frame)
    frame = photo / np.float32(127.5) - 1.0
    found = transfer.edit_photo(photo, Placement.centred((64, 64)), frame, edited, reconstruction)
    assert np.array_equal(found, levels(transfer.edit_frame(frame, edited, reconstruction)))


@pytest.mark.parametrize("angle", [0.0, 17.0])
def test_a_photo_changes_where_the_edit_is_and_nowhere_else(angle: float):
    frame, edited, reconstruction = pictures()
    photo = np.random.default_rng(2).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    placement = Placement(340.0, 260.0, 384.0, angle)
    found = transfer.edit_photo(photo, placement, frame, edited, reconstruction)
    place = placement.to_frame(np.stack(np.meshgrid(np.arange(700) + 0.5, np.arange(500) + 0.5), 2))
    inside = ((place > 38) & (place < 54)).all(2)
    near = ((place > 33) & (place < 59)).all(2)
    assert np.array_equal(found[~near], photo[~near])
    assert (found[inside] != photo[inside]).mean() > 0.5


def test_the_photo_keeps_its_detail_under_the_edit():
    frame, _, reconstruction = pictures()
    edited = reconstruction + 0.4  # all over
    edited, reconstruction = (cv2.GaussianBlur(one, (0, 0), 3.0) for one in (edited, reconstruction))
    smooth = cv2.GaussianBlur(frame, (0, 0), 3.0)
    rng = np.random.default_rng(4)
    photo = (cv2.resize(levels(smooth), (512, 512)).astype(int) + rng.integers(-12, 13, (512, 512, 3))).clip(0, 255)
    placement = Placement(256.0, 256.0, 512.0)
    found = transfer.edit_photo(photo.astype(np.uint8), placement, smooth, edited, reconstruction).astype(int)
    middle = (slice(64, 448), slice(64, 448))
    change = (found - photo)[middle].astype(np.float32)
    assert change.mean() > 10
    assert np.abs(change - cv2.GaussianBlur(change, (0, 0), 2.0)).mean() < 0.5  # rounding, no lost or doubled grain


def test_nothing_edited_nothing_changed():
    frame, _, reconstruction = pictures()
    photo = np.random.default_rng(3).integers(0, 256, (200, 300, 3), dtype=np.uint8)
    found = transfer.edit_photo(photo, Placement(150.0, 100.0, 180.0), frame, reconstruction, reconstruction)
    assert np.array_equal(found, photo)


def test_an_edit_beyond_the_photo_is_cut_off():
    frame, edited, reconstruction = pictures()
    photo = np.full((120, 90, 3), 128, dtype=np.uint8)
    found = transfer.edit_photo(photo, Placement(40.0, 60.0, 200.0, 30.0), frame, edited, reconstruction)
    assert found.shape == photo.shape
    assert (found != photo).any()


def test_a_square_fades_into_the_photo(picture: Image.Image):
    white = Image.new("RGB", (64, 64), "white")
    found = np.asarray(transfer.square_into(picture, Placement(150.0, 100.0, 128.0), white))
    before = np.asarray(picture)
    assert (found[60:140, 110:190] == 255).all()
    assert np.array_equal(found[:, :80], before[:, :80])
    assert np.array_equal(found[:30], before[:30])
    assert (found[100, 86:90] < 255).all()  # still on its way

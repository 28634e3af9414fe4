"""Ready-made holes of photos: they end where the face does."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from csi_demo import masks
from csi_demo.complete import Subject
from csi_demo.errors import MaskError
from csi_demo.photo.outline import FOLLOWING, face_hole
from csi_demo.photo.placement import Placement

PLACE = Placement(200.0, 180.0, 192.0)  # three photo pixels a frame pixel


def drawn_head(middle: float) -> Image.Image:
    """A head of one colour with a little noise before a background of another; middle: its column in the frame."""
    rng, photo = np.random.default_rng(0), np.full((360, 400, 3), (40, 90, 160), dtype=np.uint8)
    x, y = PLACE.to_photo(np.array([middle, 36.0]))
    cv2.ellipse(photo, (int(x), int(y)), (54, 84), 0, 0, 360, (200, 150, 120), -1)
    return Image.fromarray(np.clip(photo + rng.normal(0, 4, photo.shape), 0, 255).astype(np.uint8))


@pytest.mark.parametrize("name", ["mouth", "eyes", "center", "left"])
@pytest.mark.parametrize("middle", [32.0, 26.0, 37.0])
def test_a_hole_lies_on_the_face(name: str, middle: float):
    photo = drawn_head(middle)
    hole = ~face_hole(photo, PLACE, name)
    skin = np.asarray(photo)[..., 0] > 120
    assert hole.any()
    assert (hole & ~skin).sum() <= 0.02 * hole.sum()
    assert not (hole & PLACE.photo_mask("full", photo.size)).any()
    if name == "mouth":
        assert hole[~PLACE.photo_mask("26,49,38,55", photo.size)].all()  # the lips


def test_without_an_outline_the_hole_is_whole():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (360, 400, 3), dtype=np.uint8))
    for name in ("mouth", "eyes"):
        assert (~face_hole(photo, PLACE, name)).mean() > 0.5 * (~PLACE.photo_mask(name, photo.size)).mean()


def test_frames_and_other_families_keep_their_holes():
    photo, frame = drawn_head(32.0), Image.new("RGB", (64, 64))
    assert np.array_equal(face_hole(photo, PLACE, "top"), PLACE.photo_mask("top", photo.size))
    for name in FOLLOWING:
        assert np.array_equal(Subject.of(frame, name).frame_mask, masks.family(name))
    with pytest.raises(MaskError, match="unknown mask"):
        Subject.of(photo, "chin", placement=PLACE)


def test_the_frame_sees_the_hole_that_the_photo_has():
    subject = Subject.of(drawn_head(26.0), "mouth", placement=PLACE)
    assert np.array_equal(subject.frame_mask, PLACE.frame_mask(subject.mask))

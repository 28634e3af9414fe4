"""Grey and toned photos."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from csi_demo.complete import Finish, Subject
from csi_demo.photo.placement import Placement
from csi_demo.photo.toning import Tone

from .test_refining import picture

PLACE = Placement(150.0, 110.0, 140.0, 10.0)


def as_jpeg(photo: Image.Image, quality: int = 85) -> Image.Image:
    stored = io.BytesIO()
    photo.save(stored, "JPEG", quality=quality)
    return Image.open(stored).convert("RGB")


def grey(photo: Image.Image) -> Image.Image:
    return photo.convert("L").convert("RGB")


def sepia(photo: Image.Image) -> Image.Image:
    return ImageOps.colorize(photo.convert("L"), (30, 15, 5), (255, 240, 205), mid=(150, 115, 80))


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("place", [PLACE, Placement(42.0, 52.0, 64.0)], ids=str)
@pytest.mark.parametrize("stored", [lambda photo: photo, as_jpeg], ids=["exact", "jpeg"])
def test_a_grey_photo_gets_a_grey_fill(refine: bool, place: Placement, stored):
    subject = Subject.of(stored(grey(picture(300, 240))), "center", placement=place)
    filled = np.asarray(subject.finished(picture(64, 64, 5), Finish(refine=refine))).astype(int)
    inside = filled[~subject.mask]
    assert np.ptp(inside, axis=1).max() <= 2
    assert inside.std() > 5


def test_a_toned_photo_gets_the_tone():
    photo = picture(300, 240)
    subject = Subject.of(as_jpeg(sepia(photo), 92), "center", placement=PLACE)
    filled = np.asarray(subject.finished(picture(64, 64, 5), Finish())).astype(float)
    luma = filled @ (0.299, 0.587, 0.114)
    toned = np.asarray(sepia(Image.fromarray(filled.astype(np.uint8)))).astype(float)
    wanted = (toned[..., 0] - toned[..., 2])[~subject.mask].mean()
    assert (filled[..., 0] - filled[..., 2])[~subject.mask].mean() == pytest.approx(wanted, abs=12)
    assert luma[~subject.mask].std() > 5


def test_a_photo_in_colours_keeps_its_fill():
    subject, fill = Subject.of(picture(300, 240), "center", placement=PLACE), np.asarray(picture(64, 64, 5))
    tone = Tone.of(np.asarray(subject.frame), subject.frame_mask)
    assert tone.share == 0.0
    assert np.array_equal(tone.give(fill), fill)


def test_without_context_there_is_no_tone():
    pixels = np.full((64, 64, 3), 90, dtype=np.uint8)
    assert Tone.of(pixels, np.zeros((64, 64), dtype=bool)).share == 0.0

"""Fills redrawn at the photo's own resolution, on their way into the photo."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from csi_demo import masks
from csi_demo.complete import Finish, Subject, complete_photo
from csi_demo.errors import PhotoError
from csi_demo.photo.placement import Placement
from csi_demo.photo.refining import SIDE, Scene, as_sharp

PLACE = Placement(150.0, 110.0, 140.0, 10.0)


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    """A smooth photo with some noise."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    pixels = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    return Image.fromarray(np.clip(pixels + rng.normal(0, 4, pixels.shape), 0, 255).astype(np.uint8))


def random_subject(seed: int) -> Subject:
    """A photo of any size, its frame anywhere in it and beyond, and a hole of any kind that lies in both."""
    rng = np.random.default_rng(seed)
    width, height = (int(edge) for edge in rng.integers(30, 420, 2))
    photo = picture(width, height, seed)
    size = float(rng.uniform(0.5, 1.3)) * min(width, height)
    place = Placement(rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height, size, rng.uniform(-180, 180))
    kind = seed % 4
    if kind == 0:
        return Subject.of(photo, str(rng.choice(list(masks.BOXES))), placement=place)
    if kind == 1:
        return Subject.of(photo, place.photo_mask(masks.training_mask(rng), photo.size), placement=place)
    inside = ~place.photo_mask(np.zeros((64, 64), dtype=bool), photo.size)
    mask = np.ones((height, width), dtype=bool)
    if kind == 2:  # one pixel
        row, column = rng.permutation(np.argwhere(inside))[0]
        mask[row, column] = False
    else:  # whatever lies in the frame, up to the photo's border
        mask = ~(inside & (rng.random((height, width)) < 0.3))
    return Subject.of(photo, mask, placement=place)


@pytest.mark.parametrize("finish", [Finish(), Finish(refine=False), Finish(blend=False)], ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_every_observed_pixel_stays_bit_for_bit(seed: int, finish: Finish):
    subject = random_subject(seed)
    filled = np.asarray(subject.finished(picture(64, 64, seed + 100), finish))
    assert filled.shape == (subject.photo.height, subject.photo.width, 3)
    assert np.array_equal(filled[subject.mask], np.asarray(subject.photo)[subject.mask])


def test_what_the_hole_held_does_not_matter():
    photo, place = picture(600, 480), Placement(300.0, 220.0, 330.0, 10.0)
    subject = Subject.of(photo, "eyes", placement=place)
    pixels = np.array(photo)
    pixels[~subject.mask] = np.random.default_rng(1).integers(0, 256, pixels[~subject.mask].shape)
    other, fill = Subject.of(Image.fromarray(pixels), subject.mask, placement=place), picture(64, 64, 3)
    scenes = [Scene.of(one.photo, one.mask, one.placement) for one in (subject, other)]
    assert len(scenes[0].views) > 1
    for views in zip(*(scene.views for scene in scenes), strict=True):
        assert np.array_equal(views[0].context, views[1].context)
    assert np.array_equal(scenes[0].small, scenes[1].small)
    assert np.array_equal(scenes[0].refine(fill), scenes[1].refine(fill))


def test_the_context_is_the_photos_own_beside_the_hole_too():
    photo = picture(300, 240)
    mask = PLACE.photo_mask("mouth", photo.size)
    context, whole = PLACE.context(photo, mask, SIDE).astype(int), np.asarray(PLACE.frame(photo, SIDE)).astype(int)
    observed = PLACE.frame_mask(mask, SIDE)
    inner = cv2.erode(observed.view(np.uint8), np.ones((7, 7))).astype(bool)
    assert np.abs(context - whole)[inner].max() <= 1
    assert np.abs(context - whole)[observed & ~inner].mean() < 3.0  # as much as the photo's noise
    assert (context[~observed].mean(1) == 0).mean() > 0.8


def test_a_refined_fill_follows_the_fill_and_the_photo():
    photo = picture(300, 240)
    subject = Subject.of(photo, "center", placement=PLACE)
    scene = Scene.of(photo, subject.mask, PLACE)
    refined = scene.refine(subject.frame)  # the truth, seen at 64 pixels
    hole = ~subject.frame_mask
    assert refined.size == (SIDE, SIDE)
    shrunk = np.asarray(refined.resize((64, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(shrunk - np.asarray(subject.frame).astype(int))[hole].mean() < 8
    kept = np.asarray(refined)[~hole.repeat(2, 0).repeat(2, 1)]
    window = np.asarray(scene.views[0].context)[24:152, 24:152]
    assert np.array_equal(kept, window[~hole.repeat(2, 0).repeat(2, 1)])
    assert np.array_equal(refined, scene.refine(subject.frame))


@pytest.mark.parametrize(("size", "sides"), [(140.0, [128]), (200.0, [128, 256]), (700.0, [128, 256, 512])])
def test_a_fill_gets_as_many_octaves_as_the_photo_has(size: float, sides: list[int]):
    photo, place = picture(800, 760), Placement(400.0, 380.0, size, 7.0)
    subject = Subject.of(photo, "mouth", placement=place)
    scene = Scene.of(photo, subject.mask, place)
    assert [view.side for view in scene.views] == sides
    refined = scene.refine(subject.frame)
    assert refined.size == (sides[-1], sides[-1])
    shrunk = np.asarray(refined.resize((64, 64), Image.Resampling.BOX)).astype(int)
    assert np.abs(shrunk - np.asarray(subject.frame).astype(int))[~subject.frame_mask].mean() < 8


def test_a_frame_as_small_as_the_fill_is_not_refined():
    photo, fill = picture(100, 90), picture(64, 64, 1)
    for place in (Placement(42.0, 37.0, 64.0), Placement(50.0, 45.0, 60.0, 5.0)):
        subject = Subject.of(photo, "mouth", placement=place)
        assert not subject.refines(Finish())
        assert np.array_equal(subject.finished(fill, Finish()), subject.finished(fill, Finish(refine=False)))
    subject = Subject.of(photo, "mouth", placement=Placement(50.0, 45.0, 80.0))
    assert subject.refines(Finish())
    assert not subject.refines(Finish(refine=False))
    assert (np.asarray(subject.finished(fill, Finish())) != subject.finished(fill, Finish(refine=False))).any()


@pytest.mark.parametrize("size", [(20, 30), (63, 50), (64, 64)])
def test_photos_smaller_than_a_frame_are_filled(size: tuple[int, int]):
    photo = picture(*size)
    (filled,) = complete_photo(photo, "mouth", "vae", placement=Placement.centred(size))
    assert filled.size == size
    assert (np.asarray(filled) != np.asarray(photo)).any()


def test_a_hole_beyond_the_frame_is_refused_in_one_line():
    photo, mask = picture(300, 240), np.ones((240, 300), dtype=bool)
    mask[2, 3] = False
    with pytest.raises(PhotoError, match="the hole reaches outside the square of the photo") as told:
        complete_photo(photo, mask, "vae", placement=PLACE)
    assert "\n" not in str(told.value)


def test_python_refines_unless_told_not_to(astronaut: Image.Image):
    place = Placement(225.9, 100.0, 143.3, 3.15)
    refined, plain = (
        complete_photo(astronaut, "mouth", "vae", placement=place, refine=refine)[0] for refine in (True, False)
    )
    hole = ~place.photo_mask("mouth", astronaut.size)
    apart = np.abs(np.asarray(refined).astype(int) - np.asarray(plain))
    assert apart[hole].mean() > 1.0
    assert not apart[~hole].any()


def test_a_fill_gets_no_sharper_than_its_photo():
    rng, hole = np.random.default_rng(0), np.zeros((SIDE, SIDE), dtype=bool)
    hole[60:110, 40:90] = True
    sharp = rng.normal(0.0, 0.1, (SIDE, SIDE, 3)).astype(np.float32)
    soft, softer = (cv2.GaussianBlur(sharp, (0, 0), deviation) for deviation in (1.5, 2.0))
    redrawn = np.where(hole[..., None], sharp, softer)
    for around, share in ((sharp, 1.0), (soft, 0.0), (softer, 0.0)):
        plain = np.where(hole[..., None], softer, around)
        drawn = as_sharp(plain, np.where(hole[..., None], redrawn, around), hole)
        assert np.array_equal(drawn[~hole], plain[~hole])
        gained = np.abs(drawn - plain)[hole].mean() / np.abs(redrawn - plain)[hole].mean()
        assert gained > 0.6 if share else gained == 0.0

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from csi_demo import masks


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    "maker", [masks.random_rectangle, masks.random_strokes, masks.random_half, masks.training_mask]
)
@pytest.mark.parametrize("size", [16, 64])
def test_random_masks_have_a_hole_and_repeat_with_their_seed(maker, size):
    for seed in range(30):
        mask = maker(rng(seed), size)
        assert mask.shape == (size, size)
        assert mask.dtype == bool
        assert not mask.all()
        assert np.array_equal(mask, maker(rng(seed), size))
    assert len({maker(rng(seed), size).tobytes() for seed in range(30)}) > 15


def test_rectangles_have_sides_of_25_to_75_percent_and_reach_every_pixel():
    sides, covered = [], np.zeros((64, 64), dtype=int)
    for seed in range(300):
        hole = ~masks.random_rectangle(rng(seed))
        sides += [int(hole.any(0).sum()), int(hole.any(1).sum())]
        assert hole.sum() == sides[-1] * sides[-2], "not a rectangle"
        covered += hole
    assert min(sides) == 16
    assert max(sides) == 48
    assert covered.any(0).all()
    assert covered.any(1).all()


def test_training_masks_hold_rectangles_strokes_and_whole_frames():
    drawn = [~masks.training_mask(rng(seed)) for seed in range(400)]
    boxes = sum(hole.sum() == hole.any(0).sum() * hole.any(1).sum() for hole in drawn)
    assert 180 < boxes < 320
    assert any(hole.mean() > 0.95 for hole in drawn)


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("mouth", [(32, 46), (32, 62), (18, 52), (46, 52), (20, 57), (44, 57)]),  # lips, closed, open and smiling
        ("eyes", [(12, 30), (52, 30), (22, 24), (42, 24), (22, 33), (42, 33), (32, 40)]),  # corners, brows, lids
        ("nose", [(32, 33), (32, 47), (24, 45), (40, 45)]),
    ],
)
@pytest.mark.parametrize("size", [64, 128, 300])
def test_shapes_hide_what_they_name(name: str, points: list[tuple[int, int]], size: int):
    mask = masks.family(name, size)
    for x, y in points:
        assert not mask[y * size // 64, x * size // 64]
    share = float((~mask).mean())
    assert share == pytest.approx(float((~masks.family(name)).mean()), rel=0.12)
    for x, y in ((0, 0), (32, 20), (5, 60), (60, 50)):
        assert mask[y * size // 64, x * size // 64]


def test_families():
    assert not masks.family("full").any()
    for name, (x0, y0, x1, y1) in masks.BOXES.items():
        hole = ~masks.family(name)
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == (x0, y0, x1, y1)
        assert (hole.sum() == (y1 - y0) * (x1 - x0)) == (name not in masks.SHAPES)
    assert np.array_equal(masks.family("16,16,48,48"), masks.family("center"))
    assert np.array_equal(masks.family("random:7"), masks.random_rectangle(rng(7)))
    assert (~masks.family("center", 32)).sum() == 16 * 16


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("chin", "unknown mask 'chin': use eyes"),
        ("random:x", "unknown mask"),
        ("1,2,3", "unknown mask"),
        ("1,2,3,x", "four whole numbers"),
        ("10,10,10,20", "0 <= x0 < x1 <= 64"),
        ("0,0,65,20", "64x64 frame"),
        ("-1,0,5,5", "64x64 frame"),
    ],
)
def test_unusable_names_say_what_would_be_right(name, said):
    with pytest.raises(masks.MaskError, match=said):
        masks.family(name)


def test_painted_masks():
    picture = Image.new("RGB", (30, 20), "white")
    with pytest.raises(masks.MaskError, match="no hole"):
        masks.from_image(picture)
    picture.paste("black", (5, 6, 10, 8))
    mask = masks.from_image(picture)
    assert mask.shape == (20, 30)
    assert (~mask).sum() == 10
    assert not mask[6, 5]


def test_sampler_gives_fresh_masks_for_random_and_the_same_for_a_family():
    assert len({masks.sampler("random")(rng(seed)).tobytes() for seed in range(5)}) == 5
    draw = masks.sampler("mouth")
    assert np.array_equal(draw(rng(0)), draw(rng(1)))

"""Colour hints: what counts as paint, where it lies, and that a fill obeys it and leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import complete_photo, load_method, masks
from csi_demo.errors import UsageError
from csi_demo.hints import MOST, Hint, as_hints, paint
from csi_demo.photo.placement import Placement
from csi_demo.pixels import mask_to_tensor, to_tensor

EXAMPLES = Path(__file__).parents[1] / "examples"

RED = (170, 30, 50)
FRAME = Placement.centred((64, 64))


@pytest.mark.parametrize(
    "value",
    ["32,54,6,#aa1e32", (32, 54, 6, RED), {"x": 32, "y": 54, "size": 6, "colour": "#aa1e32"}, Hint(32, 54, 6, RED)],
)
def test_what_means_a_dab(value: object):
    assert as_hints([value]) == (Hint(32.0, 54.0, 6.0, RED),)


def test_points_are_dabs_of_their_own():
    found = as_hints([{"points": [[1, 2], [3, 4]], "size": 6, "colour": RED}])
    assert found == (Hint(1, 2, 6, RED), Hint(3, 4, 6, RED))


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("32,54,6", "no hint"),
        ("32,54,6,red", "no colour"),
        ("32,nan,6,#aa1e32", "y 'nan'"),
        ("32,54,wide,#aa1e32", "size 'wide'"),
        ("32,54,0,#aa1e32", "size 0"),
        ((32, 54, -1, RED), "size -1"),
        ((32, 54, 6, (1, 2, 300)), "no colour"),
        ({"x": 1, "y": 2, "size": 3, "color": "#aa1e32"}, "unknown part of a hint: 'color'"),
        ({"points": [], "size": 3, "colour": RED}, "points"),
        ({"points": [[1, 2]] * (MOST + 1), "size": 3, "colour": RED}, "points"),
        (7, "no hint"),
    ],
)
def test_what_is_no_dab_says_why(value: object, said: str):
    with pytest.raises(UsageError, match=said):
        as_hints([value])


def test_too_many_dabs_are_refused():
    with pytest.raises(UsageError, match=f"more than {MOST}"):
        as_hints([(1, 1, 2, RED)] * (MOST + 1))


def test_paint_lies_where_it_is_put_and_in_the_hole_only():
    mask = masks.family("mouth")
    found = paint(as_hints(["32,54,6,#ffffff", "32,56,4,#000000"]), FRAME, mask)
    assert found is not None
    colours, share = found[0, :3], found[0, 3]
    assert share[54, 32] == 1.0
    assert share[54, 40] == 0.0
    assert colours[:, 52, 32].tolist() == [1.0, 1.0, 1.0]
    assert colours[:, 56, 32].tolist() == [-1.0, -1.0, -1.0]  # the later one lies above
    assert not found[0, :, torch.from_numpy(mask)].any()
    large = paint(as_hints(["320,540,60,#ffffff"]), Placement(320.0, 320.0, 640.0), mask)
    assert large is not None
    assert torch.equal(large[0, 3] > 0.5, paint(as_hints(["32,54,6,#ffffff"]), FRAME, mask)[0, 3] > 0.5)


def test_paint_beside_the_hole_is_refused():
    with pytest.raises(UsageError, match="no hint lies in the hole"):
        paint(as_hints(["5,5,4,#ffffff"]), FRAME, masks.family("mouth"))
    assert paint((), FRAME, masks.family("mouth")) is None


@pytest.mark.parametrize(("x", "y", "size", "colour"), [(32, 54, 8, "#aa1e32"), (32, 54, 8, "#f5f0eb")])
def test_csi_obeys_and_keeps_the_rest(x: int, y: int, size: int, colour: str):
    frame, mask = Image.open(EXAMPLES / "face-1.png").convert("RGB").resize((64, 64)), masks.family("mouth")
    hints = as_hints([f"{x},{y},{size},{colour}"])
    painted = paint(hints, FRAME, mask)
    assert painted is not None
    image, hole = to_tensor(frame), mask_to_tensor(mask)
    method = load_method("csi")
    *_, plain = method.complete(image, hole, (3,))
    *_, hinted = method.complete(image, hole, (3,), hints=painted)
    where, wanted = painted[0, 3] > 0.5, painted[0, :3, y, x]
    before, after = ((step.images[0][:, where].mean(1) - wanted).norm() for step in (plain, hinted))
    assert after < 0.4 * before
    kept = mask_to_tensor(mask)[0, 0] > 0.5
    assert torch.equal(hinted.images[0][:, kept], image[0][:, kept])


def test_a_slider_that_is_set_stays_where_it_is():
    frame, mask = Image.open(EXAMPLES / "face-1.png").convert("RGB").resize((64, 64)), masks.family("mouth")
    method, image, hole = load_method("csi"), to_tensor(frame), mask_to_tensor(masks.family("mouth"))
    z = method.latents(image, hole, (0,), {"z0": 1.0})
    painted = paint(as_hints(["32,54,8,#ffffff"]), FRAME, mask)
    moved = method.obeying(image, hole, z, painted, {"z0": 1.0})
    assert moved[0, 0] == z[0, 0]
    assert not torch.equal(moved, z)


def test_photos_take_hints_and_other_methods_say_no():
    photo = Image.open(EXAMPLES / "face-1.png").convert("RGB").resize((64, 64))
    plain, hinted = (complete_photo(photo, "mouth", hints=hints)[0] for hints in (None, ["32,54,8,#aa1e32"]))
    assert not np.array_equal(np.asarray(plain), np.asarray(hinted))
    with pytest.raises(UsageError, match="vae takes no colour hints"):
        complete_photo(photo, "mouth", "vae", hints=["32,54,8,#aa1e32"])


@pytest.mark.parametrize("wrong", [torch.zeros(1, 3, 64, 64), torch.full((1, 4, 64, 64), float("nan")), "red", [1, 2]])
def test_what_is_no_paint_for_a_frame_says_so(wrong: object):
    image, hole = torch.zeros(1, 3, 64, 64), mask_to_tensor(masks.family("mouth"))
    with pytest.raises(UsageError, match=r"hints .*need numbers"):
        load_method("csi").complete(image, hole, hints=wrong)

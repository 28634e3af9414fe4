"""What Python callers hand over: what can mean one thing is taken for it, the rest refused before filling."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import complete_photo, load_method, masks
from csi_demo.complete import Subject
from csi_demo.errors import MaskError, PhotoError, UserError
from csi_demo.methods import checks
from csi_demo.photo.placement import Placement
from csi_demo.pixels import to_tensor

from .server import ROOT

PHOTO = ROOT / "examples" / "astronaut.png"
QUICK: dict[str, Any] = {"method": "vae-oneshot", "options": {"iterations": 1}}
KEEP = masks.family("mouth")


def subject(mask: Any = "mouth", photo: Any = PHOTO, **options: Any) -> Subject:
    return Subject.of(photo, mask, **options)


def fill(mask: Any = "mouth", photo: Any = PHOTO, **options: Any) -> np.ndarray:
    return np.asarray(complete_photo(photo, mask, **(QUICK | options))[0])


MEANING_ONE_THING = {
    "uint8 of 0 and 1": KEEP.astype(np.uint8),  # the case: changed every pixel that was to be kept
    "0 and 255": KEEP.astype(np.uint8) * 255,
    "int64 of 0 and 1": KEEP.astype(np.int64),
    "int64 of 0 and 255": KEEP.astype(np.int64) * 255,
    "uint16 of 0 and 65535": KEEP.astype(np.uint16) * 65535,
    "floats": KEEP.astype(np.float32),
    "float16": KEEP.astype(np.float16),
    "floats to 255": KEEP * 255.0,
    "soft edges": np.where(KEEP, 0.9, 0.1),
    "a nested list": KEEP.tolist(),
    "a channel": KEEP[..., None].astype(np.uint8),
    "a batch": KEEP[None, None].astype(np.float32),
    "colours": np.repeat(KEEP[..., None].astype(np.uint8) * 255, 3, 2),
    "a tensor": torch.from_numpy(KEEP),
    "a tensor of floats": torch.from_numpy(KEEP).float()[None, None],
    "a picture": Image.fromarray(KEEP.astype(np.uint8) * 255),
    "a picture of 0 and 1": Image.fromarray(KEEP.astype(np.uint8)),
    "a picture of bits": Image.fromarray(KEEP),
    "a picture of 16 bits": Image.fromarray(KEEP.astype(np.uint16) * 65535),
    "a picture of floats": Image.fromarray(KEEP.astype(np.float32)),
    "paint on nothing": Image.merge(
        "RGBA", [Image.new("L", (64, 64))] * 3 + [Image.fromarray((~KEEP).astype(np.uint8) * 255)]
    ),
}


@pytest.mark.parametrize("mask", MEANING_ONE_THING.values(), ids=MEANING_ONE_THING)
def test_a_mask_that_means_one_thing_is_taken_for_it(mask: Any) -> None:
    assert np.array_equal(subject(mask).mask, KEEP)


def test_a_fill_keeps_what_such_a_mask_keeps() -> None:
    found = fill(KEEP.astype(np.uint8))
    assert np.array_equal(found, fill(KEEP))
    assert np.array_equal(found[KEEP], np.asarray(Image.open(PHOTO).convert("RGB"))[KEEP])


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (np.where(KEEP, 2, 0), "values from 0 to 2: use True and False"),
        (np.where(KEEP, 1, -1), "values from -1 to 1"),
        (np.where(KEEP, 100, 0).astype(np.uint8), "values from 0 to 100"),
        (np.where(KEEP, 1 / 255, 0.0), "values from 0 to 0.0039"),
        (np.where(KEEP, np.nan, 0.0), "values from nan to nan"),
        (np.where(KEEP, np.inf, 0.0), "values from 0 to inf"),
        (KEEP.astype(str), "not a ndarray"),
        (None, "not nothing"),
        (7, r"shape \(\) cannot be used"),
        (KEEP[0], r"shape \(64,\) cannot be used: need \(height, width\)"),
        (np.stack([KEEP] * 5), r"shape \(5, 64, 64\) cannot be used"),
        ([[True], [True, False]], "not a list"),
        (np.zeros((0, 0), bool), "cannot be used"),
        (np.ones((64, 64), bool), "the mask has no hole"),
        (np.full((64, 64), 255, np.uint8), "the mask has no hole"),
        ("chin", "unknown mask 'chin'"),
    ],
)
def test_a_mask_that_means_nothing_or_several_things_is_named(mask: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        subject(mask)


INVERTED = {
    "of the whole frame": ((64, 64), KEEP),  # the case: filled everything but the hole
    "of the eyes": ((64, 64), masks.family("eyes")),
    "of a box": ((64, 64), masks.family("20,20,30,50")),
    "of a photo": ((512, 512), Placement(256, 200, 300).photo_mask("mouth", (512, 512))),
}


@pytest.mark.parametrize(("size", "keep"), INVERTED.values(), ids=INVERTED)
def test_an_inverted_mask_is_called_that_before_anything_is_filled(size: tuple[int, int], keep: np.ndarray) -> None:
    photo = Image.open(ROOT / "examples" / "astronaut.jpg").resize(size)
    for inverted in (~keep, (~keep).astype(np.uint8) * 255, Image.fromarray(~keep)):
        with pytest.raises(MaskError, match="seems to be inverted: white, 1 or True is what is kept"):
            subject(inverted, photo, placement=Placement.centred(size))


def test_the_way_round_of_an_inverted_mask_is_said_where_it_reaches_outside_the_square() -> None:
    keep = np.ones((512, 512), bool)
    keep[:300, 100:300] = False  # up to the photo's edge
    with pytest.raises(UserError, match="is what is kept"):
        subject(~keep, ROOT / "examples" / "astronaut.jpg", placement=(256, 256, 200))


@pytest.mark.parametrize("name", ["left", "right", "top", "bottom", "full", "center", "random:3"])
def test_large_holes_are_not_taken_for_inverted_ones(name: str) -> None:
    assert np.array_equal(subject(masks.family(name)).mask, masks.family(name))


def test_a_mask_of_another_size_is_named_and_that_its_sides_are_swapped() -> None:
    photo = Image.open(PHOTO).resize((80, 60))
    with pytest.raises(MaskError, match=r"the mask is 64x64, the photo 80x60: make them one size$"):
        subject(KEEP, photo)
    with pytest.raises(MaskError, match=r"the mask is 60x80, the photo 80x60: .* the right way round"):
        subject(np.ones((80, 60), bool), photo)


@pytest.mark.parametrize(
    "seeds", [3, [3], (3.0,), np.array([3]), np.int64(3), torch.tensor([3]), torch.tensor(3), range(3, 4)], ids=str
)
def test_a_seed_in_any_form_is_that_seed(seeds: Any) -> None:
    assert checks.seeds(seeds) == (3,)


@pytest.mark.parametrize("smile", [2, 2.0, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2.0)], ids=repr)
def test_a_number_of_any_kind_is_that_number(smile: Any) -> None:
    method = load_method("csi")
    assert method.check_controls({"z0": smile})["z0"] == 2.0


@pytest.mark.parametrize("place", [(30, 31, 60), [30.0, 31.0, 60.0, 0], np.array([30, 31, 60]), "30,31,60"], ids=str)
def test_a_place_in_any_form_is_that_place(place: Any) -> None:
    hole = np.ones((64, 64), bool)
    hole[30:40, 30:40] = False
    assert subject(hole, placement=place).placement == Placement(30, 31, 60)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": "3"}, "the seed '3': need a whole number"),
        ({"seeds": (1.5,)}, "the seed 1.5: need a whole number"),
        ({"seeds": (-1,)}, "the seed -1"),
        ({"seeds": (True,)}, "the seed True"),
        ({"seeds": None}, "the seed None"),
        ({"seeds": ()}, "no seeds: give one for every sample"),
        ({"seeds": (float("nan"),)}, "the seed nan"),
        ({"method": 7}, "method 7: need a name"),
        ({"method": ["csi"]}, r"method \['csi'\]: need a name"),
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"controls": [("smile", 2)]}, "controls .*: need numbers by name"),
        ({"options": {"iterations": "many"}}, "iterations='many' is not a number"),
        ({"options": {"iterations": True}}, "iterations=True is not a number"),
        ({"options": {"iterations": np.ones(3)}}, "is not a number"),
        ({"face": "first"}, "the face 'first': need a whole number"),
        ({"face": 1.5}, "the face 1.5"),
        ({"face": 99}, "there is no face 99"),
        ({"placement": (1, 2)}, "need x, y, size"),
        ({"placement": 5}, "5 is no place in a photo"),
        ({"placement": ("a", 2, 3)}, "a number of the place 'a' is not a number"),
        ({"placement": "here"}, "'here' is no place"),
        ({"blend": "yes"}, "blend 'yes': need True or False"),
        ({"refine": 2}, "refine 2: need True or False"),
    ],
)
def test_an_argument_that_means_nothing_is_named(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        fill(**options)


def test_tensors_in_any_form_are_the_same_image_and_mask() -> None:
    method, image, mask = load_method("vae-oneshot"), to_tensor(Image.open(PHOTO)), torch.from_numpy(KEEP)[None, None]
    *_, wanted = method.complete(image, mask.float(), options={"iterations": 1})
    levels = torch.from_numpy(np.array(Image.open(PHOTO).convert("RGB"))).permute(2, 0, 1)
    for same_image in (image, image[0], levels, levels[None]):
        for same_mask in (mask, mask.byte(), mask.byte() * 255, mask.long(), mask[0, 0], KEEP):
            *_, found = method.complete(same_image, same_mask, options={"iterations": 1})  # type: ignore[arg-type]
            assert torch.equal(found.images, wanted.images)


@pytest.mark.parametrize(
    ("image", "mask", "said"),
    [
        (torch.zeros(1, 3, 64, 64) + 200, KEEP, "an image from 200 to 200: need floats from -1 to 1, or uint8"),
        (torch.full((1, 3, 64, 64), float("nan")), KEEP, "an image from nan to nan"),
        (torch.zeros(1, 3, 64, 64).long(), KEEP, "an image of torch.int64"),
        (torch.zeros(1, 64, 64, 3), KEEP, "need an image"),
        (Image.new("RGB", (64, 64)), KEEP, "need an image, a tensor"),
        (torch.zeros(1, 3, 64, 64), KEEP[:32], "make them one size"),
        (torch.zeros(1, 3, 64, 64), KEEP * 2, "values from 0 to 2"),
        (torch.zeros(1, 3, 64, 64), KEEP | True, "no hole"),
    ],
)
def test_an_image_or_mask_of_another_kind_is_named(image: Any, mask: Any, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_method("vae-oneshot").complete(image, mask)


def test_pasting_by_hand_takes_any_mask_and_keeps_the_rest() -> None:
    photo, place = Image.open(PHOTO), Placement.centred((64, 64))
    pasted = [place.paste(photo, mask, Image.new("RGB", (64, 64))) for mask in (KEEP, KEEP.astype(np.uint8))]  # type: ignore[arg-type]
    assert np.array_equal(*map(np.asarray, pasted))
    with pytest.raises(PhotoError, match="no hole"):
        place.paste(photo, KEEP | True, Image.new("RGB", (64, 64)))

"""Fitting what a model drew to the photo around the hole."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csi_demo import masks
from csi_demo.methods.fitting import blended, calmed, softened
from csi_demo.pixels import LUMA, masks_to_tensor

CENTRE = masks_to_tensor([masks.family("center")])
WEIGHTS = torch.tensor(LUMA)[:, None, None]


def luma(pictures: Tensor) -> Tensor:
    return (WEIGHTS * pictures).sum(1, keepdim=True)


def patched(colour: tuple[float, float, float], inset: int = 6) -> tuple[Tensor, Tensor]:
    """A skin-coloured picture, and the same with a patch of a colour added in the middle of the hole."""
    image = torch.tensor([0.4, 0.0, -0.2])[None, :, None, None].expand(1, 3, 64, 64).clone()
    left, top, right, bottom = masks.BOXES["center"]
    drawn = image.clone()
    drawn[..., top + inset : bottom - inset, left + inset : right - inset] += torch.tensor(colour)[:, None, None]
    return image, drawn


def test_a_weave_around_the_face_is_softened_and_the_face_stays():
    x = torch.arange(64.0)
    weave = torch.outer(torch.sin(math.pi * x / 2.2), torch.sin(math.pi * x / 2.2)).expand(2, 3, 64, 64)
    soft = softened(0.5 + 0.3 * weave)
    spread = (soft - 0.5).abs().amax((0, 1)) / 0.3
    assert spread[:, :6].max() < 0.25
    assert spread[34:39, 30:35].max() > 0.9
    flat = torch.full((1, 3, 64, 64), 0.3)
    torch.testing.assert_close(softened(flat), flat)


def test_calm_colours_hold_back_a_foreign_patch_and_leave_brightness_and_the_photo_alone():
    image, drawn = patched((0.4, -0.4, 0.3))
    plain = blended(image, CENTRE, drawn)
    calm = calmed(image, CENTRE, plain)
    torch.testing.assert_close(luma(calm), luma(plain), atol=1e-4, rtol=0.0)
    strayed = [(fill - image - luma(fill - image)).norm(dim=1).amax() for fill in (plain, calm)]
    assert 0.1 < strayed[1] < 0.5 * strayed[0]
    assert torch.equal(torch.where(CENTRE > 0.5, calm, image), image)


def test_what_is_greyer_than_its_surroundings_stays_so():
    image, drawn = patched((0.3, 0.7, 0.9))  # white on skin, as teeth are
    plain = blended(image, CENTRE, drawn)
    calm = calmed(image, CENTRE, plain)
    colour = [(fill - luma(fill))[..., 32, 32].norm() for fill in (calm, plain, image)]
    assert colour[0] < 1.05 * colour[1] + 1e-3
    assert colour[0] < 0.2 * colour[2]


def test_a_fleck_of_colour_goes_and_a_patch_of_it_stays_a_patch():
    image, fleck = patched((0.4, -0.4, 0.3), inset=15)
    _, patch = patched((0.4, -0.4, 0.3), inset=8)
    for softness, left in ((1.0, 0.7), (1.5, 0.5)):
        calm = [
            calmed(image, CENTRE, blended(image, CENTRE, drawn), softness=softness) - image for drawn in (fleck, patch)
        ]
        small, large = ((added - luma(added))[..., 32, 32].norm() for added in calm)
        assert small < left * large


def test_where_no_face_is_seen_colours_are_the_models_own():
    image, drawn = patched((0.4, -0.4, 0.3))
    for name in ("full", "head"):
        mask = masks_to_tensor([masks.family(name) if name == "full" else masks.box(8, 4, 56, 62)])
        fills = blended(image, mask, drawn)
        assert torch.equal(calmed(image, mask, fills), fills)


def test_calm_colours_do_not_depend_on_what_else_is_in_the_batch():
    image, drawn = patched((0.4, -0.4, 0.3))
    fills = blended(image, CENTRE, torch.cat([drawn, image, drawn.flip(3)]))
    together = calmed(image, CENTRE, fills)
    for alone, fill in zip(together, fills, strict=True):
        assert torch.equal(calmed(image, CENTRE, fill[None])[0], alone)

"""CSI's latents come to peace with what is seen before anything is drawn."""

from __future__ import annotations

import pytest
import torch
from csi_demo.methods.csi.drawing import FRONTAL, frontal, mirrored
from PIL import Image
from torch import Tensor

from csi_demo import masks
from csi_demo.methods import load_method
from csi_demo.methods.base import keep_observed
from csi_demo.methods.csi import CSIMethod
from csi_demo.methods.csi.method import NARROW
from csi_demo.methods.csi.places import REGIONS
from csi_demo.methods.fitting import lifted
from csi_demo.pixels import masks_to_tensor, to_tensor

from ..visitor import FRAME_FILE


@pytest.fixture(scope="module")
def method() -> CSIMethod:
    loaded = load_method("csi")
    assert isinstance(loaded, CSIMethod)
    return loaded


@pytest.fixture(scope="module")
def image() -> Tensor:
    return to_tensor(Image.open(FRAME_FILE).convert("RGB"))


def hole(name: str) -> Tensor:
    return masks_to_tensor([masks.box(*REGIONS[name]) if name == "face" else masks.family(name)])


@torch.inference_mode()
def apart(method: CSIMethod, image: Tensor, mask: Tensor, z: Tensor) -> float:
    """How far latents are from those of the whole face that they fill the hole for, as the mean squared difference."""
    maps = method.drawing.maps(z)
    assert maps is not None
    filled = keep_observed(image, mask, method.drawing.guide(image, mask, maps, 1.0).towards)
    return float((method.drawing.infer(filled, torch.ones_like(mask)).mean - z).square().mean())


@pytest.mark.parametrize("name", ["left", "right", "top", "bottom"])
def test_latents_of_half_a_face_are_settled_with_the_other_half(method: CSIMethod, image: Tensor, name: str) -> None:
    mask = hole(name)
    drawn = torch.cat([method.draw(image, mask, seed, 1.2) for seed in range(4)])
    settled = torch.cat([method.drawing.settle(image, mask, z[None]) for z in drawn])
    before, after = (sum(apart(method, image, mask, z[None]) for z in some) for some in (drawn, settled))
    assert after < 0.3 * before
    assert settled.std(0).mean() > 0.3 * drawn.std(0).mean()  # and still differ
    assert torch.equal(settled * 1024.0, (settled * 1024.0).round())


@pytest.mark.parametrize("name", ["mouth", "eyes", "nose", "face", "full"])
def test_where_one_look_is_enough_or_nothing_is_seen_of_the_face_latents_stay_near(
    method: CSIMethod, image: Tensor, name: str
) -> None:
    mask = hole(name)
    z = method.draw(image, mask, 0, 1.2)
    moved, left = (method.drawing.settle(image, other, z) - z for other in (mask, hole("left")))
    assert moved.square().mean() < 0.5 * left.square().mean()


def test_a_seed_settles_where_it_did_before_and_another_elsewhere(method: CSIMethod, image: Tensor) -> None:
    mask = hole("left")
    first, again, other = (
        method.drawing.settle(image, mask, method.draw(image, mask, seed, 1.2)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", ["mouth", "eyes"])
def test_of_several_draws_the_one_that_suits_best_is_filled_in(method: CSIMethod, image: Tensor, name: str) -> None:
    mask = hole(name)
    assert method.chooser is not None
    draws = method.draw(image, mask, 5, NARROW * 1.2, 6)
    assert torch.equal(draws[:1], method.draw(image, mask, 5, NARROW * 1.2))  # a seed's first draw is what it ever was
    drawing = method.drawing
    with torch.inference_mode():
        fills = [lifted(image, mask, drawing.model.picture(drawing.model.decode(z[None]))) for z in draws]
        logits = [float(method.chooser(keep_observed(image, mask, fill), mask).sum()) for fill in fills]
    chosen = drawing.choose(image, mask, draws, method.chooser)
    assert torch.equal(chosen[0], draws[max(range(6), key=logits.__getitem__)])
    assert max(logits) > min(logits)
    settled = drawing.settle(image, mask, chosen)
    assert torch.equal(method.latents(image, mask, (5,), {}, candidates=6.0), settled)


def test_one_candidate_is_the_posterior_s_own_draw_and_half_a_face_takes_it_too(
    method: CSIMethod, image: Tensor
) -> None:
    mask, half = hole("mouth"), hole("left")
    first = method.drawing.settle(image, mask, method.draw(image, mask, 3, 1.2))
    assert torch.equal(method.latents(image, mask, (3,), {}, candidates=1.0), first)
    assert not torch.equal(method.latents(image, mask, (3,), {}), first)
    assert torch.equal(*(method.latents(image, half, (3,), {}, candidates=count) for count in (1.0, 8.0)))
    likeliest = [method.latents(image, mask, (3,), {}, 0.0, candidates) for candidates in (1.0, 8.0)]
    assert torch.equal(*likeliest)


def test_a_sample_does_not_depend_on_those_beside_it(method: CSIMethod, image: Tensor) -> None:
    mask = hole("eyes")
    together = method.latents(image, mask, (0, 1, 2), {})
    assert all(torch.equal(method.latents(image, mask, (seed,), {})[0], together[seed]) for seed in range(3))


def test_a_half_s_mirror_image_is_that_of_the_other_half_where_the_face_looks_ahead() -> None:
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    mask, fill = hole("left").expand(2, -1, -1, -1), torch.zeros(2, 3, 64, 64)
    drawn, share = mirrored(image, mask, fill, torch.tensor([True, False]))
    assert torch.equal(drawn[0, ..., :32], image[0, ..., 32:].flip(2))
    assert torch.equal(drawn[1], fill[1])
    assert share.flatten().tolist() == [1.0, 0.0]
    drawn, share = mirrored(image[:1], hole("top"), fill[:1], torch.tensor([True]))
    assert torch.equal(drawn, fill[:1])  # what would show it is hidden, too
    assert float(share) == 0.0


def test_a_face_looks_ahead_by_the_latent_of_the_head_s_turn(method: CSIMethod) -> None:
    away, towards = FRONTAL
    z = torch.zeros(4, method.config.latent_dim)
    z[:, method.config.named.index("turn")] = torch.tensor([0.0, towards - 0.1, towards + 0.1, away - 0.1])
    assert frontal(method.model, hole("left"), z).tolist() == [True, True, False, False]
    assert frontal(method.model, hole("right"), -z).tolist() == [True, True, False, False]

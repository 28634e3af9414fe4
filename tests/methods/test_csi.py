"""CSI draws its latents from a posterior with several modes, and its decoder sees the photo."""

from __future__ import annotations

import pytest
import torch
from PIL import Image
from torch import Tensor

from csi_demo import masks
from csi_demo.methods import load_method
from csi_demo.methods.csi import CSIMethod, beyond
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
    return masks_to_tensor([masks.family(name)])


def test_a_seed_draws_the_same_latents_alone_and_beside_others(method: CSIMethod, image: Tensor) -> None:
    mask = hole("eyes")
    together = method.latents(image, mask, (0, 1, 2), {})
    assert all(torch.equal(method.latents(image, mask, (seed,), {})[0], together[seed]) for seed in range(3))
    assert not torch.equal(together[0], together[1])
    assert torch.equal(together * 1024.0, (together * 1024.0).round())


def test_no_spread_is_the_same_for_every_seed(method: CSIMethod, image: Tensor) -> None:
    z = method.latents(image, hole("mouth"), (0, 1), {}, 0.0)
    assert torch.equal(z[0], z[1])


def test_more_is_open_where_less_is_seen(method: CSIMethod, image: Tensor) -> None:
    deviations = [method.draw(image, hole(name), range(16), 1.0).std(0).mean() for name in ("mouth", "left", "full")]
    assert deviations[0] < deviations[1] < deviations[2]


def test_the_decoder_sees_the_photo_but_nothing_of_its_hole(method: CSIMethod, image: Tensor) -> None:
    mask = hole("left")
    z = method.draw(image, mask, (3,), 1.0)
    other = torch.where(mask > 0.5, image, -image)
    darker = torch.where(mask > 0.5, 0.5 * image - 0.5, image)
    maps, same, changed = (method.paper.decode(z, method.observe(photo, mask)) for photo in (image, other, darker))
    assert maps is not None
    assert torch.equal(maps, same)
    inside = (mask < 0.5)[0, 0]
    with torch.inference_mode():
        before, after = (method.model.picture(drawn)[0][:, inside].mean() for drawn in (maps, changed))
    assert after < before  # a darker photo, a darker fill


@pytest.mark.parametrize("name", ["mouth", "eyes", "center", "left"])
def test_what_is_seen_is_drawn_as_it_is(method: CSIMethod, image: Tensor, name: str) -> None:
    """With it, the decoder's own picture of the observed pixels is nearer to the photo than the trunk's."""
    mask = hole(name)
    z = method.draw(image, mask, (0,), 0.8)
    with torch.inference_mode():
        maps = method.paper.decode(z, method.observe(image, mask))
        seeing, blind = (method.model.picture(drawn) for drawn in (maps, method.model.decode(z)))
    apart = [((picture - image).abs() * mask).sum() / mask.sum() for picture in (seeing, blind)]
    assert apart[0] < 0.7 * apart[1]


@pytest.mark.parametrize(
    ("name", "offered", "left_out"),
    [("mouth", {"Big smile", "Beard", "Made up"}, "Glasses"), ("eyes", {"Glasses"}, "Beard")],
)
def test_presets_are_of_what_the_hole_shows(
    method: CSIMethod, image: Tensor, name: str, offered: set[str], left_out: str
) -> None:
    mask = hole(name)
    presets = method.presets(mask)
    assert offered <= presets.keys()
    assert left_out not in presets
    drawn = method.previews(image, mask, [{}, *presets.values()])
    apart = ((drawn[1:] - drawn[:1]).abs() * (1.0 - mask)).sum((1, 2, 3)) / (3.0 * (1.0 - mask).sum())
    assert (apart > 0.01).all(), dict(zip(presets, apart.tolist(), strict=True))


def test_the_fill_follows_the_decoders_picture(method: CSIMethod, image: Tensor) -> None:
    mask = hole("mouth")
    z = method.latents(image, mask, (0,), {})
    maps = method.paper.decode(z, method.observe(image, mask))
    towards = beyond.guidance(method.model, image, mask, maps, 40.0).towards
    assert torch.equal(towards * mask, image * mask)
    *_, last = method.complete(image, mask, (0,))
    assert (last.images - towards).abs().mean() < 0.02


@pytest.mark.parametrize("name", ["full", "0,0,12,12"])
def test_a_hole_that_hides_all_or_only_background_is_filled(method: CSIMethod, image: Tensor, name: str) -> None:
    *_, last = method.complete(image, hole(name), (0,))
    assert last.images.isfinite().all()

"""The two ways of drawing from a Gated PixelCNN agree, and say how likely what they drew is."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import Tensor

from csi_demo.models.gated_pixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from csi_demo.models.level_heads import FOLLOWS, SoftmaxHead
from csi_demo.sampling import compiled as csi_compiled
from csi_demo.sampling import gated_compiled
from csi_demo.sampling.gated import (
    Conditions,
    SamplingOptions,
    bits_per_dim,
    frozen_uniforms,
    invert,
    sample_reference,
    sample_rows,
)
from csi_demo.sampling.gated_compiled import GatedFill, Layout
from csi_demo.sampling.machine_code import MachineCode

SIZE = 16
PLAIN = SamplingOptions()


def model(head: str = "softmax", kernel: int = 3, filters: int = 8, adds: bool = True) -> GatedPixelCNN:
    torch.manual_seed(0)
    tiny = GatedPixelCNNConfig(
        image_size=SIZE,
        filters=filters,
        layers=3,
        kernel=kernel,
        first_kernel=5,
        head=head,
        mixtures=3,
        vertical_residual=adds,
        head_filters=2 * filters,
        condition_dim=4,
        embedding=8,
        context_channels=(8, 16),
        map_channels=6,
    )
    made = GatedPixelCNN(tiny)
    for parameter in made.parameters():
        parameter.data += 0.15 * torch.randn_like(parameter)
    return made.double().eval().requires_grad_(False)


def photo() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (1, 3, SIZE, SIZE), generator=generator).double() / 127.5 - 1.0


def hole(kind: str) -> Tensor:
    mask = torch.ones(1, 1, SIZE, SIZE, dtype=torch.float64)
    if kind == "box":
        mask[..., 5:9, 4:12] = 0.0
    elif kind == "pieces":  # two holes in a row, rows without any between, and the corner
        mask[..., 2:4, 1:4] = mask[..., 2:4, 9:11] = mask[..., 9, 6:9] = mask[..., 15, 14:] = 0.0
    else:
        mask[...] = 0.0
    return mask


def drawn(
    way, net: GatedPixelCNN, mask: Tensor, seeds: tuple[int, ...], sampling: SamplingOptions = PLAIN, known: float = 1.0
):
    count = len(seeds)
    x = photo().expand(count, -1, -1, -1)
    y = torch.linspace(-1.0, 1.0, 4, dtype=torch.float64).expand(count, -1)
    guided = sampling.guidance != 1.0
    masks = mask.expand(count, -1, -1, -1)
    conditions = Conditions.of(net, x, masks, y, torch.full_like(y, known), guided)
    *_, (pictures, nll, progress) = way(net, x, mask, conditions, frozen_uniforms(seeds, SIZE, SIZE), sampling)
    assert progress == 1.0
    return pictures.clone(), nll


@pytest.mark.parametrize("head", ["softmax", "mixture"])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("kind", ["box", "pieces", "all"])
def test_rows_equal_the_reference(head: str, kernel: int, kind: str):
    net, mask = model(head, kernel), hole(kind)
    fast, fast_nll = drawn(sample_rows, net, mask, (3, 4))
    plain, plain_nll = drawn(sample_reference, net, mask, (3, 4))
    assert torch.equal(fast, plain)
    torch.testing.assert_close(fast_nll, plain_nll)
    assert not torch.equal(fast[0], fast[1])


@pytest.mark.parametrize(
    "sampling",
    [
        SamplingOptions(temperature=0.7),
        SamplingOptions(guidance=2.0),
        SamplingOptions(0.8, 1.5),
        SamplingOptions(0.8, 1.5, 1.0, 2.0),
    ],
)
def test_sharpened_rows_equal_the_reference(sampling: SamplingOptions):
    net, mask = model(), hole("pieces")
    fast, fast_nll = drawn(sample_rows, net, mask, (3, 4), sampling)
    plain, plain_nll = drawn(sample_reference, net, mask, (3, 4), sampling)
    assert torch.equal(fast, plain)
    torch.testing.assert_close(fast_nll, plain_nll)
    assert not torch.equal(fast, drawn(sample_rows, net, mask, (3, 4))[0])


def test_a_pixel_lighter_than_what_the_context_has_in_mind_is_so_in_all_channels():
    head = cast(SoftmaxHead, model().head)
    prediction = torch.tensor([[0.2, -2.0], [0.0, -2.0], [-0.2, -2.0]], dtype=torch.float64)

    def likeliest(*before: float) -> float:
        logits = head.pictured(prediction, torch.tensor(before, dtype=torch.float64))
        return int(logits.argmax()) / 127.5 - 1.0

    level = 1.0 / 127.5
    assert likeliest() == pytest.approx(0.2, abs=level)
    assert likeliest(0.2) == pytest.approx(0.0, abs=level)
    assert likeliest(0.5) == pytest.approx(0.3 * FOLLOWS, abs=level)
    assert likeliest(0.5, -0.1) == pytest.approx(-0.2 - 0.1 * FOLLOWS, abs=level)


@pytest.fixture(scope="module")
def kernel() -> None:
    """Servers of other tests may still be compiling; see `machine_code.alone`."""
    pytest.importorskip("numba")
    assert gated_compiled.code.make(torch.float64)
    assert gated_compiled.code.make(torch.float32)


@pytest.mark.parametrize("code", [csi_compiled.code, gated_compiled.code])
def test_making_a_kernel_ready_leaves_the_shared_generator_alone(code: MachineCode):
    pytest.importorskip("numba")
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    assert code.make()
    assert torch.equal(torch.rand(3), expected)


def compiled(dtype: torch.dtype = torch.float64):
    def way(
        net: GatedPixelCNN, x: Tensor, mask: Tensor, conditions: Conditions, uniforms: Tensor, sampling: SamplingOptions
    ):
        yield from GatedFill(Layout(net, dtype), x, mask, conditions, uniforms, sampling)

    return way


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("size", [3, 5])
@pytest.mark.parametrize("adds", [True, False])
@pytest.mark.parametrize("kind", ["box", "pieces", "all"])
@pytest.mark.parametrize("sampling", [PLAIN, SamplingOptions(0.8, 1.5, 1.0, 2.0)])
def test_compiled_rows_equal_the_reference(size: int, adds: bool, kind: str, sampling: SamplingOptions):
    net, mask = model(kernel=size, filters=16, adds=adds), hole(kind)
    fast, fast_nll = drawn(compiled(), net, mask, (3, 4), sampling)
    plain, plain_nll = drawn(sample_rows, net, mask, (3, 4), sampling)
    assert torch.equal(fast, plain)
    torch.testing.assert_close(fast_nll, plain_nll)
    assert not torch.equal(fast[0], fast[1])


@pytest.mark.usefixtures("kernel")
def test_compiled_single_precision_is_close_and_the_same_in_any_batch():
    net, mask, sampling = model(filters=16), hole("box"), SamplingOptions(0.8, 1.5, 1.0)
    together, nll = drawn(compiled(torch.float32), net, mask, (5, 6, 7), sampling)
    alone, alone_nll = drawn(compiled(torch.float32), net, mask, (6,), sampling)
    assert torch.equal(together[1], alone[0])
    assert torch.equal(nll[1], alone_nll[0])
    exact, exact_nll = drawn(sample_rows, net, mask, (5, 6, 7), sampling)
    assert ((together - exact).abs() < 0.5 / 255).float().mean() > 0.98
    torch.testing.assert_close(nll.sum((1, 2)), exact_nll.sum((1, 2)), rtol=0.02, atol=0.5)


@pytest.mark.parametrize("head", ["softmax", "mixture"])
@pytest.mark.parametrize("sampling", [PLAIN, SamplingOptions(0.8, 1.5)])
def test_likelihood_of_what_was_drawn_is_the_teacher_forced_one(head: str, sampling: SamplingOptions):
    net, mask = model(head), hole("box")
    pictures, nll = drawn(sample_rows, net, mask, (0, 1), sampling)
    y = torch.linspace(-1.0, 1.0, 4, dtype=torch.float64).expand(2, -1)
    forced = net.pixel_nll(pictures, mask.expand(2, -1, -1, -1), y, torch.ones_like(y))
    where = mask[0, 0] < 0.5
    torch.testing.assert_close(nll[:, where], forced[:, where])
    torch.testing.assert_close(bits_per_dim(nll, where), bits_per_dim(forced, where))


def test_a_sample_does_not_depend_on_its_batch():
    net, mask = model(), hole("box")
    together, _ = drawn(sample_rows, net, mask, (5, 6, 7))
    alone, _ = drawn(sample_rows, net, mask, (6,))
    assert torch.equal(together[1], alone[0])


def test_observed_pixels_stay():
    mask = hole("pieces")
    pictures, nll = drawn(sample_rows, model(), mask, (0,))
    observed = mask[0, 0] > 0.5
    assert torch.equal(pictures[0][:, observed], photo()[0][:, observed])
    assert not nll[:, observed].any()


def test_levels_come_as_often_as_they_are_likely():
    logits = torch.zeros(256, dtype=torch.float64)
    logits[10], logits[200] = 6.0, 7.0
    numbers = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    levels = ((invert(logits.expand(20_000, -1), numbers) + 1.0) * 127.5).round()
    shares = torch.softmax(logits, 0)
    for level in (10, 200):
        assert abs(float((levels == level).double().mean()) - float(shares[level])) < 0.015
    assert levels.min() >= 0
    assert levels.max() <= 255

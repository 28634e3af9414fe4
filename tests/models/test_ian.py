"""The introspective network's generator: its dilated convolutions, and its weights folded together."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from csi_demo.models.ian import Generator, IANConfig, MultiscaleDilatedConv
from csi_demo.models.ian_still import StillGenerator


@pytest.mark.parametrize("scales", [(), (0, 2), (0, 2, 3)])
def test_a_multiscale_convolution_is_one_with_a_sparse_kernel(scales: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    convolution = MultiscaleDilatedConv(5, scales)
    nn.init.normal_(convolution.weight)
    nn.init.normal_(convolution.coefficients)
    h, kernel = torch.randn(2, 5, 9, 9), convolution.kernel()
    whole = F.conv2d(h, kernel, padding=kernel.shape[-1] // 2)
    assert torch.allclose(convolution(h), whole, atol=1e-5)


@pytest.mark.parametrize("mdc", [True, False])
def test_folded_weights_draw_the_same_pictures_and_slopes(mdc: bool) -> None:
    generator = trained(mdc)
    still = StillGenerator(generator)
    assert not any(parameter.requires_grad for parameter in still.parameters())
    z = torch.randn(3, 8, requires_grad=True)
    pictures, weight = (generator(z), still(z)), torch.randn(3, 3, 64, 64)
    assert torch.allclose(*pictures, atol=1e-4)
    slopes = [torch.autograd.grad((one * weight).sum(), z)[0] for one in pictures]
    assert torch.allclose(*slopes, atol=1e-2, rtol=1e-3)


def test_fewer_digits_draw_nearly_the_same_pictures_and_slopes() -> None:
    generator = trained()
    still = StillGenerator(generator, torch.bfloat16)
    z = torch.randn(3, 8, requires_grad=True)
    exact, near = generator(z), still(z)
    assert near.dtype == torch.float32
    assert 0.0 < float((near - exact).detach().abs().mean()) < 0.01
    wanted = torch.rand(3, 3, 64, 64) * 2.0 - 1.0
    slopes = [torch.autograd.grad((one - wanted).square().mean(), z)[0] for one in (exact, near)]
    assert float(F.cosine_similarity(*slopes).min()) > 0.99


def trained(mdc: bool = True) -> Generator:
    """A small generator whose normalisation has seen pictures."""
    torch.manual_seed(0)
    config = IANConfig(
        latent_dim=8, generator_channels=(12, 8, 7, 6, 5), critic_channels=(6, 8, 8, 8), head_channels=(6,) * 3, mdc=mdc
    )
    generator = Generator(config)
    for module in generator.modules():
        if isinstance(module, MultiscaleDilatedConv):
            nn.init.orthogonal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.3)
            nn.init.normal_(module.bias, 0.0, 0.3)
    with torch.no_grad():
        generator(torch.randn(64, 8))
    return generator.eval().requires_grad_(False)

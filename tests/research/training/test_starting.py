"""Warm starts across the two ways to double a picture's width."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from csi_demo import weights
from csi_demo.models.vae import VAE, VAEConfig
from csi_demo.research.training.starting import TAPS, enlarging, start_from


def enlarged(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return F.conv2d(F.interpolate(x, scale_factor=2.0), weight, padding=1)


def test_a_transposed_convolution_without_checks_is_taken_over_whole():
    torch.manual_seed(0)
    taps, weight, x = torch.tensor(TAPS), torch.randn(5, 4, 3, 3), torch.randn(2, 4, 6, 6)
    transposed = torch.einsum("ka,lb,oiab->iokl", taps, taps, weight)
    assert torch.allclose(F.conv_transpose2d(x, transposed, stride=2, padding=1), enlarged(x, weight), atol=1e-4)
    assert torch.allclose(enlarging(transposed), weight, atol=1e-5)


def test_what_cannot_be_taken_over_are_checks():
    torch.manual_seed(0)
    transposed, x = torch.randn(4, 5, 4, 4), torch.ones(1, 4, 6, 6)
    flat = enlarged(x, enlarging(transposed))[..., 2:-2, 2:-2]
    assert torch.allclose(flat, flat[..., :1, :1].expand_as(flat), atol=1e-4)
    assert F.conv_transpose2d(x, transposed, stride=2, padding=1)[..., 2:-2, 2:-2].std((2, 3)).min() > 0.1


def test_a_decoder_that_enlarges_starts_from_one_that_does_not(tmp_path: Path):
    torch.manual_seed(0)
    sizes = {"latent_dim": 4, "channels": (4, 4, 4, 4)}
    before, after = VAE(VAEConfig(**sizes, enlarged=0)), VAE(VAEConfig(**sizes))
    weights.save_model(tmp_path / "vae", before.config.to_dict(), before.state_dict(), {}, {"vae": ("",)})
    assert start_from(after, str(tmp_path / "vae")) == ()
    first, wanted = after.decoder.levels[0][0], before.decoder.levels[0][0]
    assert isinstance(first, nn.Sequential)
    assert torch.allclose(first[1].weight, enlarging(wanted.weight.detach().half().float()), atol=1e-5)

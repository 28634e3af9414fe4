"""Figures of closeness: those that are published elsewhere, and what holds of any."""

from __future__ import annotations

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from csi_demo.closeness import closeness


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A true picture, a mask with a hole of 20 by 24 pixels, and a fill that differs in the hole alone."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand((1, 3, 64, 64), generator=generator) * 2 - 1
    mask = torch.ones(1, 1, 64, 64)
    mask[:, :, 30:50, 20:44] = 0
    noise = 0.3 * torch.randn((1, 3, 64, 64), generator=generator)
    return image, mask, (image + noise * (1 - mask)).clamp(-1, 1)


def test_figures_are_those_of_scikit_image(pictures: tuple[torch.Tensor, ...]) -> None:
    image, mask, fill = pictures
    found, hole = closeness(image, mask, fill), mask[0, 0].numpy() < 0.5
    a, b = (picture[0].permute(1, 2, 0).double().numpy() for picture in (image, fill))
    _, similar = structural_similarity(a, b, channel_axis=2, data_range=2.0, full=True)
    assert found["ssim"] == pytest.approx(similar[hole].mean(), abs=1e-6)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(a[hole], b[hole], data_range=2.0), abs=1e-4)
    assert found["l1"] == pytest.approx(abs(a - b)[hole].mean(), abs=1e-6)


def test_the_true_picture_is_closest_and_more_noise_is_farther(pictures: tuple[torch.Tensor, ...]) -> None:
    image, mask, fill = pictures
    same, near, far = (closeness(image, mask, picture) for picture in (image, (image + fill) / 2, fill))
    assert same["features"] == same["l1"] == 0
    assert same["ssim"] == pytest.approx(1)
    assert same["psnr"] > near["psnr"] > far["psnr"]
    assert 0 < near["features"] < far["features"]
    assert near["l1"] < far["l1"]

"""How close a fill comes to what was there, in the hole: figures that can be compared between methods."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from .methods.attributes import face_network

WINDOW = 7  # pixels a side, of SSIM
STEADY = (0.02**2, 0.06**2)  # SSIM's two constants for values in [-1, 1]


def closeness(image: Tensor, mask: Tensor, fill: Tensor) -> dict[str, float]:
    """Closeness of a fill to the true image, both (1, 3, 64, 64) in [-1, 1]; mask: (1, 1, 64, 64), 0 = hole.

    psnr in dB, ssim, l1 in units of the values; features: `feature_distance`.
    """
    hole = mask[0, 0] < 0.5
    error = (fill - image)[:, :, hole]
    return {
        "psnr": psnr(error),
        "ssim": ssim(image[0], fill[0], hole),
        "l1": float(error.abs().mean()),
        "features": feature_distance(image, fill),
    }


def psnr(error: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of differences (n, 3, P) of values in [-1, 1], averaged over the n pictures."""
    return float((10.0 * torch.log10(4.0 / error.square().mean((1, 2)).clamp(min=1e-10))).mean())


def ssim(image: Tensor, fill: Tensor, hole: Tensor) -> float:
    """Structural similarity (Wang et al. 2004, uniform windows) of two pictures (3, H, W) in [-1, 1], averaged over the
    windows around the hole's pixels, True in hole (H, W)."""
    a, b = (picture.permute(1, 2, 0).double().numpy() for picture in (image, fill))

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.blur(values, (WINDOW, WINDOW), borderType=cv2.BORDER_REFLECT)

    count = WINDOW**2
    of_a, of_b = mean(a), mean(b)
    spread_a, spread_b, shared = (
        count / (count - 1) * (mean(first * second) - mean(first) * mean(second))
        for first, second in ((a, a), (b, b), (a, b))
    )
    values = (2 * of_a * of_b + STEADY[0]) * (2 * shared + STEADY[1])
    values /= (of_a**2 + of_b**2 + STEADY[0]) * (spread_a + spread_b + STEADY[1])
    return float(values[hole.numpy()].mean())


@torch.inference_mode()
def feature_distance(image: Tensor, fill: Tensor) -> float:
    """Mean squared difference of two pictures (1, 3, 64, 64), in [-1, 1], in the face network's first three levels.
    Each level is in units of its mean square in the true image: 0 for the image itself."""
    pairs = zip(*(face_network().activations(picture)[:3] for picture in (image, fill)), strict=True)
    return float(torch.stack([(a - b).square().mean() / a.square().mean() for a, b in pairs]).mean())

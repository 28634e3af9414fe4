"""Figures of fills against what was there, inside the hole only."""

from __future__ import annotations

import numpy as np
import torch
from skimage.color import rgb2lab
from torch import Tensor

from ...closeness import psnr, ssim
from .seam import edge_step
from .sharpness import roughness


def measure(image: Tensor, mask: Tensor, fills: Tensor) -> dict[str, float]:
    """Figures of fills (n, 3, H, W), n > 1, against the true image (1, 3, H, W), in the hole. colour:
    mean distance in a* and b* of CIELAB, step: see `edge_step`, rough: see `roughness`."""
    hole = mask[0, 0] < 0.5
    error = (fills - image)[:, :, hole]
    apart = [(fills[a] - fills[b])[:, hole].abs().mean() for a in range(len(fills)) for b in range(a)]
    return {
        "psnr": psnr(error),
        "ssim": float(np.mean([ssim(image[0], fill, hole) for fill in fills])),
        "l1": float(error.abs().mean()),
        "colour": float(np.mean(np.linalg.norm(_hues(fills, hole) - _hues(image, hole), axis=-1))),
        "step": edge_step(mask, fills),
        "true_step": edge_step(mask, image),
        "rough": roughness(fills, hole),
        "true_rough": roughness(image, hole),
        "diversity": float(torch.stack(apart).mean()),
    }


def _hues(pictures: Tensor, hole: Tensor) -> np.ndarray:
    """a* and b* (n, P, 2) of the P hole pixels of pictures (n, 3, H, W)."""
    lab: np.ndarray = rgb2lab(((pictures[:, :, hole] + 1.0) / 2.0).numpy(), channel_axis=1)
    return lab[:, 1:].transpose(0, 2, 1)

"""What the latents of a trained CSI do, measured on held-out faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .methods.csi import CSIMethod
from .models.logistic_mixture import TRUNCATION

EXTREME = 2.5  # a latent's effect is what changes from -2.5 to +2.5
ACTIVE = 0.05  # mean change of a hole pixel, of a range of 2, above which a latent counts as used


def traverse(method: CSIMethod, image: Tensor, mask: Tensor, latents: Sequence[int], values: Sequence[float]) -> Tensor:
    """Fills the hole with each latent set to each value, all else equal: (latents, values, 3, H, W).

    The other latents stay at the posterior mean and every fill has the same noise, truncated as in the paper, so that
    the latent alone differs.
    """
    mean, _ = method.infer(image, mask)
    z = mean.repeat(len(latents) * len(values), 1)
    for row, (latent, value) in enumerate((latent, value) for latent in latents for value in values):
        z[row, latent] = value
    *_, (images, _, _) = method.fill(image, mask, z, (0,) * len(z), TRUNCATION)
    return images.unflatten(0, (len(latents), len(values)))


def strengths(method: CSIMethod, frames: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute change of a hole pixel (range of pixels: 2) from -2.5 to +2.5 of each latent: (z,), over all faces.

    frames: (N, 3, H, W) in [-1, 1]; mask: (1, 1, H, W).
    """
    count = method.config.latent_dim
    hole = mask[0, 0] < 0.5
    total = torch.zeros(count)
    for image in tqdm(frames.split(1), desc="faces", disable=None):
        low, high = traverse(method, image, mask, range(count), (-EXTREME, EXTREME)).unbind(1)
        total += (high - low)[..., hole].abs().mean((1, 2))
    return total / len(frames)


def report(values: Tensor) -> list[dict[str, Any]]:
    """latents.json's list: index and strength of every latent, strongest first."""
    order = values.argsort(descending=True).tolist()
    return [{"index": index, "strength": round(float(values[index]), 4)} for index in order]

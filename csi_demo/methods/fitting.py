"""Fitting what a model drew to the photo around the hole, by Poisson's equation, as Yeh et al. (2017) finish theirs."""

from __future__ import annotations

import torch
from torch import Tensor

from ..photo.blending import poisson
from .base import keep_observed, toggle

BLEND = toggle("blend", "Poisson blending", True, "Fit the fill's colours to the observed pixels around the hole.")


def blended(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """Pictures (n, 3, H, W) with the fill's gradients inside the hole and the image's own pixels around it.

    image: (1, 3, H, W), mask: (1, 1, H, W), drawn: (n, 3, H, W), on the CPU.
    """
    photo, hole = image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5
    fills = [torch.from_numpy(poisson(photo, hole, picture.permute(1, 2, 0).numpy())) for picture in drawn]
    return keep_observed(image, mask, torch.stack(fills).permute(0, 3, 1, 2).clamp(-1.0, 1.0))

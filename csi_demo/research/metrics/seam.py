"""Whether a hole's edge shows."""

from __future__ import annotations

import torch
from torch import Tensor


def edge_step(mask: Tensor, images: Tensor) -> float:
    """Mean absolute step across the hole's lower and right edges inside the frame; 0 where it has none."""
    hole = mask[0, 0] < 0.5
    lower, right = hole[:-1] & ~hole[1:], hole[:, :-1] & ~hole[:, 1:]
    down = (images[:, :, 1:] - images[:, :, :-1]).abs()[:, :, lower]
    across = (images[..., 1:] - images[..., :-1]).abs()[:, :, right]
    steps = torch.cat((down, across), 2)
    return float(steps.mean()) if steps.numel() else 0.0

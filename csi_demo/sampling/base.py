"""What every way of drawing pixels shares: the frozen noise, and the guide."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..models import logistic_mixture
from ..models.csi import CSI
from ..models.logistic_mixture import Guide

STREAMS = ("forward_stream", "reverse_stream", "head", "from_maps", "from_context")


def to_precision(model: CSI, dtype: torch.dtype) -> CSI:
    """Moves what sampling runs (streams, head and their conditioning, not encoder and decoder) to a dtype, in place."""
    for name in STREAMS:
        if hasattr(model, name):
            getattr(model, name).to(dtype)
    return model


def frozen_noise(
    model: CSI, seeds: Sequence[int], height: int, width: int, truncation: float = logistic_mixture.TRUNCATION
) -> Tensor:
    """Pixel noise (n, H, W, K + 3), row k from seeds[k] alone; see `logistic_mixture.noise`."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(logistic_mixture.noise(generator, height, width, model.config.mixtures, truncation))
    return torch.stack(rows)


def guided(params: Tensor, guide: Guide | None, row: int, column: int) -> Tensor:
    if guide is None:
        return params
    return logistic_mixture.guided(params, guide.towards[:, :, row, column].to(params), guide.deviation)

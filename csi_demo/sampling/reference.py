"""The plain way of drawing a hole's pixels: the whole network once for every pixel."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..models import logistic_mixture
from ..models.logistic_mixture import Guide
from .base import PixelModel, guided


def sample_reference(
    model: PixelModel, x: Tensor, mask: Tensor, biases: Tensor | None, noise: Tensor, guide: Guide | None = None
) -> Iterator[tuple[Tensor, float]]:
    """Runs the whole model once for every hole pixel. Arguments and result as `sample_pixels`."""
    x, hole = x * mask, mask[:, 0] < 0.5
    pixels = hole.any(0).nonzero().tolist()
    for done, (row, column) in enumerate(pixels, 1):
        params = guided(model.logits(x, biases)[:, :, row, column], guide, row, column)
        drawn = logistic_mixture.sample(params, noise[:, row, column])
        x[:, :, row, column] = torch.where(hole[:, row, column, None], drawn, x[:, :, row, column])
        if done == len(pixels) or pixels[done][0] != row:
            yield x, done / len(pixels)

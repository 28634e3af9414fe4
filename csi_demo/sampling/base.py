"""What every way of drawing pixels shares: what a model must have for it, the frozen noise, and the guide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ..models import logistic_mixture
from ..models.logistic_mixture import Guide
from ..models.pixelcnn import PixelCNNStream


class PixelModel(Protocol):
    """A PixelCNN whose pixels are discretised logistic mixtures."""

    def logits(self, x: Tensor, biases: Tensor | None) -> Tensor:
        """Mixture parameters (n, 10 K, H, W) of pictures (n, 3, H, W), each pixel's given those before it in raster
        order. biases: what conditions the model, (n, 2 * blocks * F, H, W) or None."""


class StreamModel(PixelModel, Protocol):
    """One whose logits are those of a stream and a 1x1 head, so that activations can be reused. `from_maps` and
    `from_context`, 1x1 convolutions that make biases, are looked up where they are needed."""

    forward_stream: PixelCNNStream
    head: nn.Conv2d


def mixtures_of(model: StreamModel) -> int:
    """K, the components of a pixel's mixture."""
    return logistic_mixture.components(model.head.out_channels)


def frozen_noise(
    model: StreamModel,
    seeds: Sequence[int],
    height: int,
    width: int,
    truncation: float = logistic_mixture.PAPER_TRUNCATION,
) -> Tensor:
    """Pixel noise (n, H, W, K + 3), row k from seeds[k] alone; see `logistic_mixture.noise`."""
    rows = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        rows.append(logistic_mixture.noise(generator, height, width, mixtures_of(model), truncation))
    return torch.stack(rows)


def guided(params: Tensor, guide: Guide | None, row: int, column: int) -> Tensor:
    """Mixture parameters (n, 10 K) of one pixel, multiplied with the guide's distribution there, if there is one."""
    if guide is None:
        return params
    return logistic_mixture.guided(params, guide.towards[:, :, row, column].to(params), guide.deviation)

"""The aligner: how far a 64x64 crop is off the face in it, and whether there is one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

FRAME = 64


@dataclass(frozen=True)
class AlignerConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    channels: tuple[int, ...] = (24, 48, 48, 96, 96, 64)
    strides: tuple[int, ...] = (2, 2, 1, 2, 1, 2)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "strides", tuple(self.strides))
        assert len(self.channels) == len(self.strides), f"{len(self.channels)} channels, {len(self.strides)} strides"

    def to_dict(self) -> dict[str, Any]:
        return {name: list(value) for name, value in asdict(self).items()}


class Aligner(nn.Module):
    """A small convolutional regressor."""

    def __init__(self, config: AlignerConfig):
        super().__init__()
        self.config = config
        layers: list[nn.Module] = []
        inputs, side = 3, FRAME
        for outputs, stride in zip(config.channels, config.strides, strict=True):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
            inputs, side = outputs, (side + stride - 1) // stride
        self.features = nn.Sequential(*layers)
        self.head = nn.Linear(inputs * side * side, 5)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """crops: (B, 3, 64, 64) in [-1, 1]. Returns corrections (B, 4) and the logit of there being a face (B,).

        A correction leads from the crop to the face's frame: shift of its centre in x and y, in crop sides; natural
        logarithm of its scale; its angle in radians, clockwise.
        """
        mean, deviation = crops.mean((1, 2, 3), keepdim=True), crops.std((1, 2, 3), keepdim=True)
        h = self.features((crops - mean) / (deviation + 0.05))  # (B, C, 4, 4)
        out = self.head(torch.flatten(h, 1))
        return out[:, :4], out[:, 4]

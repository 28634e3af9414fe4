"""The face network: a small residual classifier of the 40 CelebA attributes, whose features measure likeness."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class AttributeConfig:
    """Everything needed to rebuild the module; stored as config.json beside its weights."""

    names: tuple[str, ...] = ()  # of the attributes, in order
    channels: tuple[int, ...] = (32, 64, 96, 160, 224)  # at 64, 32, 16, 8 and 4 pixels' width
    dropout: float = 0.3

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "channels", tuple(self.channels))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"names": list(self.names), "channels": list(self.channels)}


class Level(nn.Module):
    """Halves the width, then refines: a strided convolution and one with a residual connection."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())
        self.refine = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, h: Tensor) -> Tensor:
        h = self.down(h)  # (B, outputs, H / 2, W / 2)
        return F.relu(h + self.refine(h))


class AttributeNet(nn.Module):
    """Logits of the attributes; above 0 means likelier than in the training faces on average."""

    def __init__(self, config: AttributeConfig):
        super().__init__()
        self.config = config
        first, *_ = config.channels
        self.stem = nn.Sequential(nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU())
        self.levels = nn.ModuleList(Level(inputs, outputs) for inputs, outputs in pairwise(config.channels))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.channels[-1], len(config.names))

    def activations(self, x: Tensor) -> list[Tensor]:
        """x: (B, 3, 64, 64) in [-1, 1]. Returns the features of each level: (B, C_l, 32, 32) ... (B, C_l, 4, 4)."""
        h = self.stem(x)
        found = []
        for level in self.levels:
            h = level(h)
            found.append(h)
        return found

    def features(self, x: Tensor) -> Tensor:
        """The last level's features, averaged over the picture: (B, 3, 64, 64) in [-1, 1] to (B, C)."""
        return self.activations(x)[-1].mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, 3, 64, 64) in [-1, 1]. Returns logits (B, attributes)."""
        return self.head(self.dropout(self.features(x)))

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """Probability of each attribute (B, attributes) if half of all faces had it."""
        return torch.sigmoid(self(x))

"""Training the face network on the labelled rows of the training split.

Attributes are rare or common; a logit is trained with the log odds of its attribute added (logit adjustment, Menon et
al. 2021), so that without them 0 is where balanced accuracy is best.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...data import read_labelled
from ...models.attributes import AttributeConfig, AttributeNet
from ...pixels import to_float
from ..metrics.accuracy import balanced_accuracy
from .loop import Recipe, Settings

HELD_OUT = 12  # every so many people are kept aside
SHIFT = 4  # pixels that a picture is moved at most


@dataclass(frozen=True)
class AttributeSettings(Settings):
    """How the face network is trained."""

    pictures: tuple[int, ...] = (180_000,)
    learning_rate: tuple[float, ...] = (2e-3,)
    val_pictures: int = 1024
    weight_decay: float = 1e-4
    smoothing: float = 0.05  # of the labels
    erased: float = 0.3  # share of pictures with a box greyed out


class AttributeRecipe(Recipe[AttributeSettings, AttributeConfig]):
    """The face network as the training loop sees it."""

    name = "attributes"
    unit = "cross-entropy"
    settings_type, config_type = AttributeSettings, AttributeConfig
    model_type = AttributeNet

    def __init__(self, settings: AttributeSettings, overrides: Mapping[str, Any]):
        self.settings: AttributeSettings = settings
        self.overrides = dict(overrides)

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        """Labelled rows; every twelfth person is held out for validation."""
        labelled = read_labelled(data, "train")
        self.config = AttributeConfig(**({"names": labelled.names} | self.overrides))
        held_out = labelled.identities % HELD_OUT == 0
        self.labels, self.held_out_labels = labelled.labels[~held_out], labelled.labels[held_out]
        share = self.labels.mean(0).clamp(1e-3, 1.0 - 1e-3)
        self.log_odds = torch.log(share / (1.0 - share))
        return labelled.frames[~held_out], labelled.frames[held_out]

    def step(self, model: AttributeNet, stage: int, dataset_size: int) -> AttributeStep:
        return AttributeStep(model, self.log_odds, self.settings)

    def rows(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Which pictures a batch holds."""
        return rng.integers(0, len(self.labels), count)

    def batch(self, model: AttributeNet, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict:
        rows = torch.from_numpy(self.rows(count, rng))
        pictures = to_float(frames[rows.to(frames.device)])
        return {"x": disturb(pictures, rng, self.settings.erased), "labels": self.labels[rows]}

    @torch.no_grad()
    def validate(self, model: AttributeNet, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        logits = torch.cat([model(to_float(part.to(device))).float().cpu() for part in frames.split(128)])
        labels = self.held_out_labels[: len(frames)]
        loss = F.binary_cross_entropy_with_logits(logits + self.log_odds, labels)
        return {"loss": float(loss), "balanced_accuracy": float(balanced_accuracy(logits, labels).mean())}


class AttributeStep(nn.Module):
    """The loss on one batch; the module that is wrapped for distributed training."""

    log_odds: Tensor

    def __init__(self, model: AttributeNet, log_odds: Tensor, settings: AttributeSettings):
        super().__init__()
        self.model, self.settings = model, settings
        self.register_buffer("log_odds", log_odds.to(next(model.parameters()).device))

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """x: (B, 3, 64, 64) in [-1, 1]; labels: (B, attributes), 0 or 1."""
        logits = self.model(x.contiguous(memory_format=torch.channels_last)).float()
        smooth = labels + self.settings.smoothing * (0.5 - labels)
        loss = F.binary_cross_entropy_with_logits(logits + self.log_odds, smooth)
        decay = sum(parameter.square().sum() for parameter in self.model.parameters() if parameter.dim() > 1)
        return {"loss": loss + self.settings.weight_decay * decay, "cross_entropy": loss}


def disturb(x: Tensor, rng: np.random.Generator, erased: float) -> Tensor:
    """Mirrored, moved by some pixels, brighter or darker, paler, partly greyed out: (B, 3, H, W) to the same."""
    count, _, height, width = x.shape
    flip = torch.from_numpy(rng.random(count) < 0.5).to(x.device)[:, None, None, None]
    padded = F.pad(torch.where(flip, x.flip(3), x), (SHIFT,) * 4, mode="replicate")
    corners = rng.integers(0, 2 * SHIFT + 1, (count, 2))
    pieces = (one[:, top : top + height, left : left + width] for one, (top, left) in zip(padded, corners, strict=True))
    moved = torch.stack(list(pieces))
    gain, shift = torch.from_numpy(rng.normal(0.0, 0.15, (2, count, 3, 1, 1)).astype(np.float32)).to(x.device)
    moved = moved * torch.exp(gain.mean(1, keepdim=True) + 0.3 * gain) + shift.mean(1, keepdim=True) + 0.3 * shift
    for index in np.flatnonzero(rng.random(count) < erased):
        side = rng.integers(height // 8, height // 3, 2)
        top, left = rng.integers(0, height - side[0]), rng.integers(0, width - side[1])
        moved[index, :, top : top + side[0], left : left + side[1]] = 0.0
    return moved.clamp(-1.0, 1.0)

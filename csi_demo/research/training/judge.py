"""Training a second face network that judges what the first one has taught: on other people, in another shape.

Its people are those that the first one never saw. A few of them have labels; for the rest the first network's own
probabilities stand in, so that the two agree on faces, while each has weaknesses of its own. No training but this one
sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...data import read_identities, read_labelled, read_split
from ...pixels import to_float
from ..metrics.features import face_network
from .attributes import HELD_OUT, AttributeRecipe, AttributeSettings

CHANNELS = (40, 56, 112, 144, 176)


@dataclass(frozen=True)
class JudgeSettings(AttributeSettings):
    """How the judge is trained."""

    pictures: tuple[int, ...] = (400_000,)
    smoothing: float = 0.0  # the labels are soft already
    labelled_rate: float = 0.25  # share of pictures drawn from those with labels


class JudgeRecipe(AttributeRecipe):
    """The judge as the training loop sees it; `overrides` are fields of AttributeConfig."""

    name = "judge"
    settings_type = JudgeSettings

    def __init__(self, settings: JudgeSettings, overrides: Mapping[str, Any]):
        super().__init__(settings, {"channels": CHANNELS} | dict(overrides))

    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        """Pictures of people that the face network did not learn from; the validation pictures are a tenth of those
        with labels, by person."""
        labelled = read_labelled(data, "train")
        super().read(data)  # names, and the log odds that its logits leave out
        own = labelled.identities % HELD_OUT == 0
        known = set(labelled.identities[~own].tolist())
        identities, frames = read_identities(data, "train"), read_split(data, "train")
        others = torch.tensor([person not in known for person in identities.tolist()])
        network, rest = face_network(), frames[others]
        with torch.no_grad():
            logits = torch.cat([network(to_float(part)) for part in rest.split(256)])
        held_out = own & (labelled.identities // HELD_OUT % 10 == 0)
        taught = own & ~held_out
        self.labelled = int(taught.sum())
        self.labels = torch.cat((labelled.labels[taught], torch.sigmoid(logits + self.log_odds)))
        self.held_out_labels = labelled.labels[held_out]
        return torch.cat((labelled.frames[taught], rest)), labelled.frames[held_out]

    def rows(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Which pictures a batch holds: those with labels more often than chance would have it."""
        labelled = rng.random(count) < self.settings.labelled_rate  # type: ignore[attr-defined]
        return np.where(labelled, rng.integers(0, self.labelled, count), rng.integers(0, len(self.labels), count))

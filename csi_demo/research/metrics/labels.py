"""What is known of each training face: its attributes, from labels or from the face network, and its embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...data import read_attributes
from ...pixels import to_float
from .features import face_network

PART = 512  # pictures that the face network sees at once
RAREST = 1e-3  # share of faces that an attribute has, at the least, where odds are taken


class Known:
    """Attributes y (N, A) of pictures, in [-1, 1]: labels where there are some, else 2 p - 1.

    p is the face network's probability, calibrated: its logits are balanced, so the log odds of the attribute among
    the labelled faces are added. It is computed once, where the pictures lie, when first asked for.
    """

    def __init__(self, folder: Path, split: str, names: Sequence[str]):
        self.names = tuple(names)
        self.labels = read_attributes(folder, split, self.names)
        self.columns = [face_network().config.names.index(name) for name in self.names]
        self.values: Tensor | None = None

    def of(self, frames: Tensor, odds: Tensor | None = None) -> Tensor:
        """y (N, A) of the split's pictures uint8 (N, 3, 64, 64), on their device. odds: see `log_odds`."""
        if self.values is None or self.values.device != frames.device or len(self.values) != len(frames):
            labels = self.labels[: len(frames)].to(frames.device)
            unknown = labels[:, 0].isnan().nonzero().flatten()
            odds = (self.log_odds() if odds is None else odds).to(frames.device)
            network = face_network().to(frames.device)
            with torch.no_grad():
                for rows in unknown.split(PART):
                    logits = network(to_float(frames[rows])).float()[:, self.columns]
                    labels[rows] = 2.0 * torch.sigmoid(logits + odds) - 1.0
            self.values = labels
        return self.values

    def log_odds(self) -> Tensor:
        """Logarithm of the odds (A) of each attribute among the labelled faces; 0 where no face is labelled."""
        labelled = self.labels[~self.labels[:, 0].isnan()]
        if not len(labelled):
            return torch.zeros(len(self.names))
        share = (labelled > 0).float().mean(0).clamp(RAREST, 1.0 - RAREST)
        return torch.log(share / (1.0 - share))


def embeddings(frames: Tensor) -> Tensor:
    """The face network's features (N, C) of pictures uint8 (N, 3, 64, 64), on their device."""
    network = face_network().to(frames.device)
    with torch.no_grad():
        return torch.cat([network.features(to_float(part)).float() for part in frames.split(PART)])

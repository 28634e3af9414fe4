"""How well the face network recognises attributes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ...data import read_labelled
from ...pixels import to_float
from ..metrics.accuracy import balanced_accuracy
from ..metrics.features import face_network


def evaluate_attributes(data: str | Path, *, limit: int | None = None) -> dict[str, Any]:
    """Balanced accuracy of the face network on a pack with attributes: mean, and by attribute."""
    labelled = read_labelled(data)
    frames, labels = labelled.frames[:limit], labelled.labels[:limit]
    network = face_network()
    with torch.inference_mode():
        logits = torch.cat([network(to_float(part)) for part in frames.split(100)])
    accuracy = balanced_accuracy(logits, labels)
    by_name = {name: round(float(value), 4) for name, value in zip(labelled.names, accuracy, strict=True)}
    return {"n": len(frames), "balanced_accuracy": round(float(accuracy.mean()), 4), "by_attribute": by_name}

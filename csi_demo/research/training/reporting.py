"""What a training says of itself: running means of its figures, a line a minute, curves."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import TrainingError
from ...files import whole_file, write_atomically


class Minute:
    """Running means of the training figures since the last line."""

    def __init__(self) -> None:
        self.started, self.count = time.monotonic(), 0
        self.sums: dict[str, float] = {}
        self.pictures: int | None = None
        self.unread: list[tuple[str, dict[str, Tensor]]] = []

    def add(self, terms: Mapping[str, Tensor], where: str) -> None:
        """Takes a step's figures as they are, perhaps still being computed; `read_pending` reads them."""
        self.unread.append((where, {key: value.detach() for key, value in terms.items()}))

    def read_pending(self) -> None:
        """Reads what was added. Raises TrainingError for a loss that is not finite."""
        unread, self.unread = self.unread, []
        for where, terms in unread:
            values = dict(zip(terms, torch.stack([value.float() for value in terms.values()]).tolist(), strict=True))
            if not math.isfinite(values["loss"]):
                said = ", ".join(f"{key} {value:.4g}" for key, value in values.items())
                raise TrainingError(f"{where}: the loss is not finite ({said})")
            self.count += 1
            for key, value in values.items():
                self.sums[key] = self.sums.get(key, 0.0) + value

    @property
    def taken(self) -> bool:
        """Whether there are any."""
        return bool(self.count or self.unread)

    def due(self) -> bool:
        return time.monotonic() - self.started >= 60.0

    def means(self) -> dict[str, float]:
        self.read_pending()
        return {key: value / self.count for key, value in self.sums.items()}

    def restart(self, pictures: int) -> float:
        """Starts the next minute; returns pictures per second of the last."""
        now = time.monotonic()
        speed = (pictures - (self.pictures or 0)) / (now - self.started) if self.pictures is not None else math.nan
        self.started, self.sums, self.count, self.pictures, self.unread = now, {}, 0, pictures, []
        return speed


def line(row: Mapping[str, Any], speed: float) -> str:
    """A row of the history as a line to print; speed: pictures per second."""
    rest = "  ".join(f"{key} {value:.4f}" for key, value in row.items() if key.startswith(("train_", "val_")))
    return f"stage {row['stage']}  {row['pictures']} pictures  {row['hours']:.2f} h  {speed:.0f}/s  {rest}"


def write_curves(out: Path, history: list[dict[str, Any]], unit: str) -> None:
    """Writes curves.json and curves.png."""
    write_atomically(out / "curves.json", json.dumps(history, indent=1) + "\n")
    if not history:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    stages = sorted({row["stage"] for row in history})
    figure, axes = pyplot.subplots(1, len(stages), figsize=(6 * len(stages), 4), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=True):
        rows = [row for row in history if row["stage"] == stage]
        for key in ("train_loss", "val_loss", "train_bits", "val_bits", "val_frechet"):
            if key in rows[-1]:
                axis.plot([row["pictures"] for row in rows], [row[key] for row in rows], label=key)
        axis.set(title=f"stage {stage}", xlabel="pictures", ylabel=unit)
        axis.legend()
    figure.tight_layout()
    with whole_file(out / "curves.png") as file:
        figure.savefig(file, format="png", dpi=100)
    pyplot.close(figure)

"""What can be watched while a training goes on: sheets of fills, and TensorBoard's curves and pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import masks, weights
from ...errors import TrainingError
from ...photo.sheets import contact_sheet
from ...pixels import FRAME, mask_to_tensor, png, to_float
from ...registry import REGISTRY, find

SHOWN = 4  # faces of a sheet
SEARCH = {"steps": 200}  # options that make a sheet wait less, where a method has them
SHEETS = "sheets"


class Watch:
    """Puts rows and sheets where they are looked at. frames: uint8 (N, 3, H, W), held out."""

    def __init__(self, name: str, out: Path, frames: Tensor, tensorboard: bool) -> None:
        entry = REGISTRY.get(name)
        self.out, self.frames = out, frames[:SHOWN]
        self.method = entry.method if entry and frames.shape[2:] == (FRAME, FRAME) else ""
        self.writer = _writer(out / "tensorboard") if tensorboard else None

    def row(self, row: Mapping[str, Any]) -> None:
        """A row of the history."""
        if self.writer is not None:
            for key, value in row.items():
                self.writer.add_scalar(f"stage {row['stage']}/{key}", value, row["pictures"])
            self.writer.flush()

    def sheet(self, stage: int, pictures: int) -> None:
        """Fills of held-out faces by the weights in the folder, where they are of a method: masked, true, filled."""
        if not self.method:
            return
        try:
            with _laid_over(self.out):
                picture = contact_sheet(_fills(self.method, self.frames))
        except Exception as error:  # watching must not end what is watched
            print(f"csi_demo: no sheet of fills: {error or type(error).__name__}", file=sys.stderr)
            return
        weights.write_atomically(self.out / SHEETS / f"stage-{stage}-{pictures:09}.png", png(picture))
        if self.writer is not None:
            self.writer.add_image(f"fills of stage {stage}", np.asarray(picture), pictures, dataformats="HWC")

    def close(self) -> None:
        """Ends TensorBoard's file."""
        if self.writer is not None:
            self.writer.close()


def _writer(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        raise TrainingError("--tensorboard needs TensorBoard: pip install tensorboard") from None
    return SummaryWriter(str(folder))


@contextmanager
def _laid_over(folder: Path) -> Iterator[None]:
    """Weights come from a folder first."""
    before = os.environ.get("CSI_WEIGHTS_DIR")
    os.environ["CSI_WEIGHTS_DIR"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("CSI_WEIGHTS_DIR")
        if before is not None:
            os.environ["CSI_WEIGHTS_DIR"] = before


def _fills(location: str, frames: Tensor) -> Tensor:
    """Pictures (N, 3, 3, 64, 64) of faces: with a hole, true, and filled by a method with the weights in use."""
    method, mask, rows = find("methods", location)(), mask_to_tensor(masks.family("center")), []
    options = {option.name: SEARCH[option.name] for option in method.options if option.name in SEARCH}
    for frame in to_float(frames.cpu()):
        image = frame[None]
        *_, last = method.complete(image, mask, options=options)
        rows.append(torch.cat((image * mask, image, last.images)))
    return torch.stack(rows)

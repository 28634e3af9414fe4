"""What the reports of all ablations share: which variants there are, and contact sheets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from .... import weights
from ....photo.sheets import sheet
from ....pixels import png

SHEET = 6  # pictures in a row of a sheet

VariantT = TypeVar("VariantT")


def present(
    variants: Sequence[VariantT], folder: Path | None, name: Callable[[Any], str] = lambda variant: variant.name
) -> list[VariantT]:
    """The variants that a folder has, None: the weights. Raises WeightsError where it has none."""
    found = [variant for variant in variants if weights.available(name(variant), folder)]
    if not found:
        raise weights.WeightsError(f"no trained variants in {folder or weights.weights_folder()}: use --train")
    return found


def write_sheet(rows: Mapping[str, Sequence[Image.Image]], title: str, file: Path) -> Path:
    """Writes rows of pictures with their labels as a PNG, and returns the file."""
    made = list(rows.values())
    weights.write_atomically(file, png(sheet(made, tuple(rows), [[""] * len(row) for row in made], title)))
    return file

"""Figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = (
    "mask",
    "method",
    "refine",
    "found",
    "psnr",
    "ssim",
    "l1",
    "colour",
    "bits_per_dim",
    "seam",
    "sharpness",
    "diversity",
    "frechet",
    "frechet_judge",
    "seconds_per_image",
    "seconds_finish",
    "n",
)


CONTROL_COLUMNS = (
    "control",
    "hole",
    "judge",
    "wanted",
    "right_way",
    "unwanted",
    "unwanted_of",
    "elsewhere",
    "elsewhere_of",
    "merit",
)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Rows of figures as a Markdown table; a figure that a row lacks is left blank, a column that all lack left out."""
    names = [name for name in columns if any(name in row for row in rows)]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows]
    return "\n".join(lines)


def meanings(columns: Mapping[str, str]) -> str:
    """What columns mean, as a Markdown list."""
    return "\n".join(f"- `{name}`: {text}." for name, text in columns.items())

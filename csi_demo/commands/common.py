"""What the commands share: errors in usage, `--set NAME=VALUE`, and files that are never half written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import masks, weights
from ..errors import UsageError

FAMILIES = f"{', '.join(masks.BOXES)}, random:SEED, or x0,y0,x1,y1 in frame pixels"


def pairs(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE words as a dict. Raises UsageError."""
    found = dict(word.partition("=")[::2] for word in words)
    for name, value in found.items():
        if not name or not value:
            raise UsageError(f"--set needs NAME=VALUE, got {name!r}")
    return found


def positive(limit: int | None) -> None:
    """Raises UsageError for a --limit below 1."""
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} is out of range: 1 or more")


def write_json(content: Any, file: Path) -> None:
    """Writes JSON. Raises UsageError where the file cannot be written."""
    try:
        weights.write_atomically(file, json.dumps(content, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None

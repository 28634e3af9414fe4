"""What the commands share: errors in usage, `--set NAME=VALUE`, and files that are never half written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import masks
from ..errors import ControlError, UsageError
from ..files import write_atomically

FAMILIES = f"{', '.join(masks.BOXES)}, random:SEED, or x0,y0,x1,y1 in frame pixels"


def pairs(words: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE words as a dict. Raises UsageError."""
    found = dict(word.partition("=")[::2] for word in words)
    for name, value in found.items():
        if not name or not value:
            raise UsageError(f"--set needs NAME=VALUE, got {name!r}")
    return found


def settings_of(words: Sequence[str]) -> dict[str, float]:
    """CONTROL=VALUE words as numbers by name. Raises UsageError and ControlError."""
    return {name: _number(text, name) for name, text in pairs(words).items()}


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ControlError(f"{name}={text} is not a number") from None


def positive(limit: int | None) -> None:
    """Raises UsageError for a --limit below 1."""
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} is out of range: 1 or more")


def write_file(content: bytes | str, file: Path) -> None:
    """Writes a file, whole or not at all. Raises UsageError where that cannot be done."""
    try:
        write_atomically(file, content)
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None


def write_json(content: Any, file: Path) -> None:
    """Writes JSON. Raises as `write_file`."""
    write_file(json.dumps(content, indent=1) + "\n", file)

"""Scripts, styles and markup of the page, as files."""

from __future__ import annotations

from pathlib import Path


def text(name: str, **figures: object) -> str:
    """A file of this folder, with figures of the server's in the place of their names, as in "$MAX_BYTES"."""
    content = (Path(__file__).parent / name).read_text(encoding="utf-8")
    for figure, value in figures.items():
        content = content.replace(f"${figure}", str(value))
    return content

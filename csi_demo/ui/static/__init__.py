"""Scripts, styles and markup of the page, as files."""

from __future__ import annotations

from pathlib import Path


def text(name: str) -> str:
    """A file of this folder."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8")

"""Examples that a click opens, from examples/examples.json: photo, hole and settings."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from PIL import Image

from ..faces import open_photo
from .photo import Photo, from_bytes, keep

FOLDER = Path(__file__).resolve().parents[2] / "examples"


@dataclass(frozen=True)
class Example:
    """photo: a file in examples/; hole: as `masks.family` takes it; controls and options: name -> value, as moved."""

    photo: str
    title: str
    hole: str
    seed: int = 0
    samples: int = 2
    method: str | None = None  # None: the one that is chosen
    controls: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)

    def thumbnail(self) -> Image.Image:
        """A small square of the photo's middle."""
        picture = open_photo(FOLDER / self.photo)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return picture.resize((96, 96), Image.Resampling.BICUBIC, (left, top, left + side, top + side))

    def open(self) -> Photo:
        """The photo, kept for one visitor. Raises PageError."""
        suggestion = (self.hole, {**self.controls, **self.options})
        return keep(replace(_photo(self.photo), key=secrets.token_urlsafe(16), suggestion=suggestion))


@cache
def all_examples() -> tuple[Example, ...]:
    """In the order of the file; the first is open when the page loads."""
    return tuple(Example(**entry) for entry in json.loads((FOLDER / "examples.json").read_text(encoding="utf-8")))


@cache
def _photo(name: str) -> Photo:
    return from_bytes((FOLDER / name).read_bytes())

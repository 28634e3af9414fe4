"""Still pictures of the examples, which stand on the page until it works: the hole, and a fill that was made before.

``python -m csi_demo.ui.stills`` makes them anew, as is due when the weights or the examples are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from ..complete import Request
from ..pixels import jpeg
from . import engine
from .examples import FOLDER, Example, all_examples

STILLS = FOLDER / "stills"
SIDE = 480  # pixels
MARGIN = 0.14  # around the square, in its sides, as the painter shows it
PAINT = (79, 70, 229)


def asked(query: Mapping[str, str]) -> int | None:
    """The number of the example whose photo and hole a link asks for, None where there is none; without a link 0."""
    wanted = (query["photo"], query.get("hole", "mouth")) if "photo" in query else None
    for index, example in enumerate(all_examples()):
        if wanted is None or wanted == (example.photo, example.hole):
            return index
    return None


def hole_file(index: int) -> Path:
    """The picture of an example with its hole, as the painter draws it."""
    return STILLS / f"{index}-hole.jpg"


def fill_file(index: int) -> Path:
    """The picture of an example with its hole filled."""
    return STILLS / f"{index}-fill.jpg"


def make(example: Example) -> tuple[Image.Image, Image.Image]:
    """An example with its hole and with the first of its fills, square, SIDE pixels wide. Raises PageError."""
    shown, mask = example.open()
    method = engine.load(example.method)
    request = Request(shown.subject(mask), method, (example.seed,), *method.split(example.settings))
    last = request.last_step()
    filled = request.finished(last.pictures[0])
    place = shown.view_place
    side = min(*shown.view.size, round((1 + 2 * MARGIN) * place.size))
    left, top = (
        max(0, min(round(middle - side / 2), extent - side))
        for middle, extent in zip((place.x, place.y), shown.view.size, strict=True)
    )
    box = (left, top, left + side, top + side)
    marked = np.asarray(shown.view, dtype=float)
    marked = np.where(mask[..., None], marked, 0.4 * marked + 0.6 * np.array(PAINT))
    holed = Image.fromarray(marked.round().astype(np.uint8))
    small, large = (picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC) for picture in (holed, filled))
    return small, large


def main() -> None:
    """Makes them all."""
    STILLS.mkdir(exist_ok=True)
    for index, example in enumerate(all_examples()):
        for file, picture in zip((hole_file(index), fill_file(index)), make(example), strict=True):
            file.write_bytes(jpeg(picture))


if __name__ == "__main__":
    main()

"""Whole edits, told beforehand: strokes of the brush as text and JSON. Command line, API and Python all take it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from ..errors import EditError
from ..photo.colour import read_colour, srgb_profile
from ..photo.placement import Placement
from ..photo.reading import PhotoLike
from .brush import Brush
from .editor import DEFAULT_BRUSH, STRENGTH, Editor, open_editor

MAX_POINTS = 1000  # of all strokes that come together
FIELDS = ("x", "y", "points", "size", "colour", "steps", "lighten")


@dataclass(frozen=True)
class Stroke:
    """One stroke over one or several points (x, y) of the photo, undone as a whole; `Editor.paint` says the rest.

    colour: None to lighten, or to darken where steps are negative. steps: at every point.
    """

    points: tuple[tuple[float, float], ...]
    size: float
    colour: str | Sequence[int] | None
    steps: int = 1

    @property
    def moves(self) -> float:
        """How many steps of the brush it takes, as far as its steps are a number."""
        return len(self.points) * (abs(self.steps) if isinstance(self.steps, int | float) else 1)

    def draw(self, editor: Editor, number: int | None) -> None:
        """Draws it in an editor as the stroke of this number, or every point as one of its own. Raises EditError."""
        for x, y in self.points:
            if self.colour is None:
                editor.lighten(x, y, self.size, self.steps, stroke=number)
            else:
                editor.paint(x, y, self.size, self.colour, self.steps, stroke=number)


def from_text(text: str, *, coloured: bool = True) -> Stroke:
    """A stroke from ``X,Y,SIZE,#RRGGBB[,STEPS]``, or ``X,Y,SIZE[,STEPS]`` for one that lightens. Raises EditError."""
    words = [word.strip() for word in text.split(",")]
    colour = words.pop(3) if coloured and len(words) > 3 else None
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) not in (3, 4) or (coloured and colour is None):
        wanted = "X,Y,SIZE,#RRGGBB or X,Y,SIZE,#RRGGBB,STEPS" if coloured else "X,Y,SIZE or X,Y,SIZE,STEPS"
        raise EditError(f"{text!r:.60} is no stroke: it takes {wanted}")
    x, y, size, steps = (*numbers, 1.0)[:4]
    return Stroke(((x, y),), size, colour, steps)  # type: ignore[arg-type]  # checked when it is drawn


def from_json(strokes: object) -> tuple[Stroke, ...]:
    """Strokes from a list of ``{"x", "y" or "points": [[x, y] ...], "size", "colour" or "lighten": STEPS, "steps"}``.

    Raises EditError for anything else, or for too many points.
    """
    if not isinstance(strokes, Sequence) or isinstance(strokes, str):
        raise EditError("strokes are a list of objects with x, y, size and colour")
    found = tuple(_stroke(entry) for entry in _bounded(strokes))
    if sum(len(stroke.points) for stroke in found) > MAX_POINTS:
        raise EditError(f"strokes of more than {MAX_POINTS} points: send them in parts")
    return found


def draw(editor: Editor, strokes: Iterable[Stroke]) -> None:
    """Draws strokes one after another, each undone by itself. Raises EditError; what was drawn before stays."""
    for number, stroke in enumerate(strokes):
        stroke.draw(editor, -1 - number)


def edit_photo(
    photo: PhotoLike,
    strokes: Iterable[Stroke],
    *,
    latents: Mapping[str, float] | None = None,
    sample: int | None = None,
    face: int | None = None,
    placement: Placement | Sequence[float] | str | None = None,
    brush: Brush = DEFAULT_BRUSH,
    strength: float = STRENGTH,
) -> Image.Image:
    """A photo edited at its own size: a sampled face if there is a seed for one, then latents set, then strokes drawn.

    Raises as `open_editor`, `Editor.sample`, `Editor.set` and `draw`.
    """
    editor = open_editor(photo, face=face, placement=placement, brush=brush, strength=strength)
    if sample is not None:
        editor.sample(sample)
    for name, value in (latents or {}).items():
        editor.set(name, value)
    draw(editor, strokes)
    edited = editor.photo
    edited.info["icc_profile"] = srgb_profile()  # so that files say it that it is saved to
    return edited


def _bounded(entries: Sequence[Any]) -> Sequence[Any]:
    if len(entries) > MAX_POINTS:
        raise EditError(f"strokes of more than {MAX_POINTS} points: send them in parts")
    return entries


def _stroke(entry: object) -> Stroke:
    if not isinstance(entry, Mapping):
        raise EditError(f"{entry!r:.40} is no stroke: it takes an object with x, y, size and colour")
    for name in entry:
        if name not in FIELDS:
            raise EditError(f"unknown part of a stroke: {name!r:.40}; it has: {', '.join(FIELDS)}")
    points = entry.get("points", [[entry.get("x"), entry.get("y")]])
    if not isinstance(points, Sequence) or isinstance(points, str) or not points:
        raise EditError("points of a stroke are a list of [x, y]")
    pairs = []
    for point in _bounded(points):
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise EditError(f"{point!r:.40} is no point: it takes [x, y]")
        pairs.append((point[0], point[1]))
    lightened = "lighten" in entry
    if lightened == ("colour" in entry):
        raise EditError("a stroke has either a colour or a number of steps to lighten by")
    if not lightened:
        read_colour(entry["colour"])
    steps = entry["lighten"] if lightened else entry.get("steps", 1)
    return Stroke(tuple(pairs), entry.get("size"), None if lightened else entry["colour"], steps)  # type: ignore[arg-type]

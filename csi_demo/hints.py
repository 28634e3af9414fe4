"""Colour hints: dabs of paint in the hole that a fill obeys, in the photo's coordinates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import UsageError
from .methods import checks
from .photo.colour import read_colour
from .photo.placement import Placement
from .pixels import FRAME

if TYPE_CHECKING:
    from torch import Tensor

MOST = 1000  # dabs in one fill
FORM = "X,Y,SIZE,#RRGGBB"
FINER = 4  # points that a frame pixel is looked at in, each way
FIELDS = ("x", "y", "points", "size", "colour")


@dataclass(frozen=True)
class Hint:
    """One dab: a disc around a point (x, y), size wide, in photo pixels; colour: red, green, blue, 0 to 255."""

    x: float
    y: float
    size: float
    colour: tuple[int, int, int]


def from_text(text: str) -> Hint:
    """A dab from ``X,Y,SIZE,#RRGGBB``. Raises UsageError."""
    words = [word.strip() for word in text.split(",")]
    if len(words) != 4:
        raise UsageError(f"{text!r:.60} is no hint: it takes {FORM}, as in 120,180,12,#a03040")
    return _dab(*words)


def as_hints(values: Any) -> tuple[Hint, ...]:
    """Dabs from a list of hints. Each is a text ``X,Y,SIZE,#RRGGBB``, a sequence (x, y, size, colour), or a mapping
    with those names, in which points, a list of (x, y), may stand for x and y. Raises UsageError."""
    if values is None:
        return ()
    if isinstance(values, str | Mapping) or not isinstance(values, Sequence):
        raise UsageError(f"hints are a list of dabs of paint, each {FORM}")
    found: list[Hint] = []
    for value in values:
        found += _dabs(value)
        if len(found) > MOST:
            raise UsageError(f"more than {MOST} dabs of paint: a fill takes no more")
    return tuple(found)


def _dabs(value: Any) -> list[Hint]:
    if isinstance(value, Hint):
        return [value]
    if isinstance(value, str):
        return [from_text(value)]
    if isinstance(value, Mapping):
        if unknown := [name for name in value if name not in FIELDS]:
            raise UsageError(f"unknown part of a hint: {unknown[0]!r:.40}; it has: {', '.join(FIELDS)}")
        points = value.get("points", [(value.get("x"), value.get("y"))])
        if not isinstance(points, Sequence) or isinstance(points, str) or not 0 < len(points) <= MOST:
            raise UsageError(f"points of a hint are a list of (x, y), {MOST} at most")
        if not all(isinstance(point, Sequence) and len(point) == 2 for point in points):
            raise UsageError("a point of a hint is (x, y)")
        return [_dab(x, y, value.get("size"), value.get("colour")) for x, y in points]
    if isinstance(value, Sequence) and len(value) == 4:
        return [_dab(*value)]
    raise UsageError(f"{value!r:.60} is no hint: it takes {FORM}")


def _dab(x: Any, y: Any, size: Any, colour: Any) -> Hint:
    width = _number(size, "size")
    if width <= 0:
        raise UsageError(f"a hint's size {width:g}: need a width in photo pixels, more than 0")
    return Hint(_number(x, "x"), _number(y, "y"), width, read_colour(colour))


def _number(value: Any, what: str) -> float:
    try:
        return checks.number(float(value) if isinstance(value, str) else value, f"a hint's {what}")
    except ValueError:
        raise UsageError(f"a hint's {what} {value!r:.40} is not a number") from None


def paint(hints: Sequence[Hint], placement: Placement, mask: np.ndarray) -> Tensor | None:
    """The dabs in the frame: (1, 4, 64, 64), colours in [-1, 1] and the share of each pixel that is painted. It is 0
    outside the hole; later dabs lie over earlier ones. None without hints.

    mask: boolean (64, 64), True = observed. Raises UsageError where no dab meets the hole.
    """
    if not hints:
        return None
    import torch

    layers = np.zeros((FRAME, FRAME, 4), np.float32)
    for hint in hints:
        x, y = placement.to_frame(np.array([hint.x, hint.y], dtype=float))
        radius = max(0.5 * hint.size * FRAME / placement.size, 0.5)
        spans = [np.clip((math.floor(at - radius), math.ceil(at + radius)), 0, FRAME) for at in (y, x)]
        rows, columns = (np.arange(low * FINER, high * FINER) for low, high in spans)
        inside = ((columns + 0.5) / FINER - x) ** 2 + ((rows[:, None] + 0.5) / FINER - y) ** 2 <= radius**2
        share = inside.reshape(len(rows) // FINER, FINER, len(columns) // FINER, FINER).mean((1, 3))[..., None]
        part = layers[slice(*spans[0]), slice(*spans[1])]
        part[..., :3] += share * (np.array(hint.colour, np.float32) / 127.5 - 1.0 - part[..., :3])
        part[..., 3:] = np.maximum(part[..., 3:], share)
    layers[mask] = 0.0
    if not layers[..., 3].any():
        raise UsageError("no hint lies in the hole: paint inside it")
    return torch.from_numpy(layers.transpose(2, 0, 1)[None].copy())

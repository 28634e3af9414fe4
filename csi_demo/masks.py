"""Mask families and user-made masks. A mask is boolean (H, W): True = observed (context), False = hole (target).

Everything random takes a `numpy.random.Generator`, so a seed fixes the mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .errors import MaskError
from .pixels import FRAME


@dataclass(frozen=True)
class Shape:
    """A rounded hole in the 64x64 frame, |(x - x0) / a|^n + |(y - y0) / b|^n < 1: centre, half axes and exponent."""

    x: float
    y: float
    across: float
    down: float
    exponent: float = 4.0

    def contains(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether points of the frame, x and y from 0 to 64, lie in it."""
        aside, below = np.abs((x - self.x) / self.across), np.abs((y - self.y) / self.down)
        inside: np.ndarray = np.less(aside**self.exponent + below**self.exponent, 1.0)
        return inside

    @property
    def box(self) -> tuple[int, int, int, int]:
        """The smallest box of whole pixels around it, as `box` takes it."""
        return (
            math.floor(self.x - self.across),
            math.floor(self.y - self.down),
            math.ceil(self.x + self.across),
            math.ceil(self.y + self.down),
        )

    def mask(self, size: int) -> np.ndarray:
        """A size x size frame's mask: a pixel is hole where the shape touches it."""
        finer = 8
        steps = (np.arange(size * finer) + 0.5) * (FRAME / (size * finer))
        inside = self.contains(steps[None], steps[:, None])
        return ~inside.reshape(size, finer, size, finer).max((1, 3))


# Where they hide lids, brows and glasses, the nose, and both lips of a mouth that smiles, opens, or is turned aside, in
# CelebA's alignment, whose eyes lie near (22, 33) and (41.5, 33).
SHAPES: dict[str, Shape] = {
    "eyes": Shape(32.0, 32.0, 22.5, 9.5),
    "nose": Shape(32.0, 39.5, 10.5, 8.5, 3.0),
    "mouth": Shape(32.0, 53.5, 15.5, 9.0),
}
# Holes (x0, y0, x1, y1) in the same frame; of the shapes the boxes around them.
BOXES: dict[str, tuple[int, int, int, int]] = {
    **{name: shape.box for name, shape in SHAPES.items()},
    "left": (0, 0, 32, 64),
    "right": (32, 0, 64, 64),
    "top": (0, 0, 64, 32),
    "bottom": (0, 32, 64, 64),
    "center": (16, 16, 48, 48),
    "full": (0, 0, 64, 64),
}


def box(x0: int, y0: int, x1: int, y1: int, size: int = FRAME) -> np.ndarray:
    """Everything observed but the half-open box [x0, x1) x [y0, y1) in pixels of a size x size frame."""
    if not (0 <= x0 < x1 <= size and 0 <= y0 < y1 <= size):
        raise MaskError(f"box {x0},{y0},{x1},{y1} is not inside the {size}x{size} frame: need 0 <= x0 < x1 <= {size}")
    mask = np.ones((size, size), dtype=bool)
    mask[y0:y1, x0:x1] = False
    return mask


def random_rectangle(rng: np.random.Generator, size: int = FRAME) -> np.ndarray:
    """Width and height uniform in 25-75 % of the side, position uniform (CSI, section 5.1)."""
    width, height = rng.integers(size // 4, 3 * size // 4 + 1, 2)
    x0, y0 = rng.integers(0, size - width + 1), rng.integers(0, size - height + 1)
    return box(int(x0), int(y0), int(x0 + width), int(y0 + height), size)


def random_strokes(rng: np.random.Generator, size: int = FRAME) -> np.ndarray:
    """One to four brush strokes of random width, like a visitor's: holes that are no rectangles."""
    picture = Image.new("1", (size, size), 1)
    draw = ImageDraw.Draw(picture)
    for _ in range(rng.integers(1, 5)):
        radius = float(rng.uniform(size / 24, size / 8))
        point, angle = rng.uniform(0, size, 2), rng.uniform(0, 2 * np.pi)
        for _ in range(rng.integers(2, 10)):
            angle += rng.normal(0, 0.7)
            end = np.clip(point + radius * 1.5 * np.array([np.cos(angle), np.sin(angle)]), 0, size - 1)
            draw.line([tuple(point), tuple(end)], fill=0, width=max(1, round(2 * radius)))
            draw.ellipse([*(end - radius), *(end + radius)], fill=0)
            point = end
    return np.array(picture)


def random_half(rng: np.random.Generator, size: int = FRAME) -> np.ndarray:
    """A band from one side of the frame, 30-100 % of it deep: halves, and at the extreme no context at all."""
    depth = int(rng.integers(round(0.3 * size), size + 1))
    mask = np.ones((size, size), dtype=bool)
    mask[:depth] = False
    return np.ascontiguousarray(np.rot90(mask, int(rng.integers(4))))


def training_mask(rng: np.random.Generator, size: int = FRAME) -> np.ndarray:
    """The training distribution over holes: mostly rectangles, then strokes, then bands from a side."""
    maker = rng.choice(np.array([random_rectangle, random_strokes, random_half]), p=(0.45, 0.4, 0.15))
    return maker(rng, size)


def family(name: str, size: int = FRAME) -> np.ndarray:
    """A mask by name: a key of `BOXES`, ``random:SEED`` (a random rectangle) or ``x0,y0,x1,y1`` in frame pixels.

    Raises MaskError for anything else.
    """
    if name in SHAPES:
        return SHAPES[name].mask(size)
    if name in BOXES:
        x0, y0, x1, y1 = (round(edge * size / FRAME) for edge in BOXES[name])
        return box(x0, y0, x1, y1, size)
    kind, _, rest = name.partition(":")
    if kind == "random" and rest.isdecimal() and len(rest) <= 40:
        return random_rectangle(np.random.default_rng(int(rest)), size)
    edges = name.split(",")
    if len(edges) == 4:
        try:
            x0, y0, x1, y1 = (int(edge) for edge in edges)
        except ValueError:
            raise MaskError(f"box {name!r} needs four whole numbers, as in 16,16,48,48") from None
        return box(x0, y0, x1, y1, size)
    raise MaskError(f"unknown mask {name!r:.80}: use {', '.join(BOXES)}, random:SEED or x0,y0,x1,y1")


def sampler(name: str, size: int = FRAME) -> Callable[[np.random.Generator], np.ndarray]:
    """A family for many pictures: the mask of `family`, or for ``random`` and ``strokes`` a fresh one each time."""
    fresh = {"random": random_rectangle, "strokes": random_strokes}
    if name in fresh:
        return lambda rng: fresh[name](rng, size)
    mask = family(name, size)
    return lambda rng: mask


def to_mask(mask: Any) -> np.ndarray:
    """Whatever can mean a mask as one: boolean (height, width), True = keep.

    mask: a picture (see `from_image`), or an array, tensor or nested list of this shape, further axes of length 1
    aside, or with 3 or 4 channels: of booleans, of 0 and 1, of floats from 0 to 1, or of levels from 0 to 255; the
    larger value is what is kept. Raises MaskError for anything else.
    """
    if isinstance(mask, Image.Image):
        return from_image(mask)
    try:
        values = np.asarray(mask.detach().cpu() if hasattr(mask, "detach") else mask)
    except ValueError:  # rows of different lengths
        values = np.empty(0, dtype=object)
    if values.dtype == object or values.dtype.kind not in "biuf":
        raise MaskError(f"a mask is an array, a picture or a name, not {_kind(mask)}")
    if values.ndim == 3 and values.shape[2] in (3, 4) and values.dtype == np.uint8:
        return from_image(Image.fromarray(values))
    while values.ndim > 2 and 1 in (values.shape[0], values.shape[-1]):
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    if values.ndim != 2 or not values.size:
        raise MaskError(f"a mask of the shape {values.shape} cannot be used: need (height, width)")
    return _two_valued(values)


def _kind(mask: object) -> str:
    return "nothing" if mask is None else f"a {type(mask).__name__}"


def _two_valued(values: np.ndarray) -> np.ndarray:
    """Numbers (height, width) as a mask: what is at least half of the largest value that their kind has. Raises
    MaskError where it is not clear which that is."""
    if values.dtype == bool:
        return values
    least, most = values.min(), values.max()
    whole = values.dtype.kind in "iu" or bool((values == np.rint(values)).all())
    if least >= 0 and (most <= 1 or (whole and most <= 65535)):  # so not for what is no number
        white = 1 if most <= 1 else 255 if most <= 255 else 65535
        keep: np.ndarray = values >= white / 2
        if most == 0 or keep.any():
            return keep
    raise MaskError(
        f"the mask has values from {least:g} to {most:g}: use True and False, 1 and 0, or 255 and 0, "
        "the larger one where the photo is kept"
    )


def from_image(picture: Image.Image) -> np.ndarray:
    """A painted mask, white (or 1) = keep and black (or 0) = hole, at the picture's own size: boolean (height, width).

    Raises MaskError when nothing is painted out, or when that is not clear.
    """
    if picture.has_transparency_data:  # paint on nothing: what is not painted is kept
        paint = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", paint.size, (255, 255, 255, 255)), paint)
    plain = picture.mode.startswith("I") or picture.mode in ("1", "F")
    mask = _two_valued(np.asarray(picture if plain else picture.convert("L")))
    if mask.all():
        raise MaskError("the mask has no hole: paint the part to fill in black, leave the rest white")
    return mask


def check_way(mask: np.ndarray) -> None:
    """Raises MaskError for a mask, True = keep, that is most likely meant the other way round. It keeps something, but
    neither half of the picture nor more than an eighth of its border."""
    border = np.concatenate((mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]))
    if 0.0 < mask.mean() < 0.5 and border.mean() < 0.125:
        raise MaskError(
            f"the mask keeps a part within the picture ({mask.mean():.0%}) and fills all around it, so it seems to be "
            "inverted: white, 1 or True is what is kept, and black, 0 or False is the hole"
        )

"""CelebA's aligned pictures: where the frame lies in them, and made-up surroundings to put them in."""

from __future__ import annotations

import cv2
import numpy as np

from ..pixels import FRAME
from .placement import Placement

PICTURE = (178, 218)  # width and height of CelebA's aligned pictures


FACE = Placement(89.0, 109.0, 128.0)  # the frame in them


def background(other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What fills a crop beyond its picture: 128x128x3 of noise, a gradient, or a part of another picture."""
    side, kind = 2 * FRAME, rng.integers(3)
    if kind == 0:
        cells = int(rng.choice((1, 4, 8, 32, 128)))
        small = rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)
    if kind == 1:
        corners = rng.integers(0, 256, (2, 2, 3), dtype=np.uint8)
        return cv2.resize(corners, (side, side), interpolation=cv2.INTER_LINEAR)
    width, height = rng.integers(20, 60, 2)
    x, y = rng.integers(0, PICTURE[0] - width), rng.integers(0, PICTURE[1] - height)
    return cv2.resize(np.ascontiguousarray(other[y : y + height, x : x + width]), (side, side))

"""Ready-made holes in photos: they end a little inside the face's outline, and cross neither nose nor lips."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from .. import masks
from ..masks import Shape
from ..pixels import FRAME
from .placement import Placement, hole_box

ROOM = 8  # pixels of the frame around it that are looked at, too
SIDE = FRAME + 2 * ROOM
INSIDE = 1.5  # frame pixels that a hole ends before the outline, so that what surrounds it is skin
SMOOTH = 1.2  # standard deviation, frame pixels, of the filter that the outline is smoothed with
ROUNDS = 4  # of GrabCut
SEED = 0
CORE = Shape(32.0, 40.0, 9.0, 12.0, 2.0)  # face in every photo
LIKELY = Shape(32.0, 38.0, 21.0, 27.0, 2.0)  # face in most
FARTHEST = Shape(32.0, 37.0, 29.0, 34.0, 2.0)  # beyond: hair, neck, background
# The holes that follow a face, and what of them is hole even where the outline seems to run through it.
SHAPES: dict[str, tuple[Shape, Shape]] = {
    "eyes": (Shape(32.0, 31.1, 22.0, 8.4), Shape(32.0, 33.0, 13.0, 4.0)),
    "nose": (masks.SHAPES["nose"], Shape(32.0, 41.0, 6.0, 6.0)),
    "mouth": (Shape(32.0, 54.2, 15.3, 8.2), Shape(32.0, 52.0, 9.0, 4.5)),
    "center": (Shape(32.0, 31.2, 16.0, 15.2, 6.0), Shape(32.0, 38.0, 8.0, 8.0)),
}
HALVES = {"left": (0.0, 32.0), "right": (32.0, 64.0)}
FOLLOWING = (*SHAPES, *HALVES)
LEAST = (0.65, 0.15)  # of a shape, of a half: with less left of it, the outline is taken to be wrong


def face_map(photo: Image.Image, placement: Placement) -> np.ndarray:
    """How surely the pixels of the frame and what is around it, (80, 80), are of the face: above 0 inside its outline.

    GrabCut (Rother et al., 2004) parts the colours of the face's middle from those around the head; float32, the
    distance to the outline in frame pixels.
    """
    place = Placement(placement.x, placement.y, placement.size * SIDE / FRAME, placement.angle)
    pixels = np.ascontiguousarray(np.asarray(place.frame(photo, SIDE))[..., ::-1])
    steps = np.arange(SIDE) + 0.5 - ROOM
    labels = np.full((SIDE, SIDE), cv2.GC_PR_BGD, dtype=np.uint8)
    labels[LIKELY.contains(steps[None], steps[:, None])] = cv2.GC_PR_FGD
    labels[~FARTHEST.contains(steps[None], steps[:, None])] = cv2.GC_BGD
    core = CORE.contains(steps[None], steps[:, None])
    labels[core] = cv2.GC_FGD
    cv2.setRNGSeed(SEED)
    cv2.grabCut(pixels, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)  # type: ignore[call-overload]
    face: np.ndarray = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    face = cv2.morphologyEx(face, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)))
    _, parts = cv2.connectedComponents(face | core.view(np.uint8))
    face = (parts == parts[ROOM + 40, ROOM + 32]).astype(np.uint8)
    outlines, _ = cv2.findContours(face, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(face, outlines, -1, 1, cv2.FILLED)  # eyes, teeth, glasses
    inside, outside = (cv2.distanceTransform(part, cv2.DIST_L2, 5) for part in (face, 1 - face))
    return cv2.GaussianBlur(inside - outside, (0, 0), SMOOTH)


def face_hole(photo: Image.Image, placement: Placement, name: str, distances: np.ndarray | None = None) -> np.ndarray:
    """The ready-made hole of this name in an RGB photo: boolean (height, width), True = keep.

    distances: the `face_map` of photo and placement, where that is there already.

    Eyes, nose, mouth, center, left and right end inside the face's outline, where one is found that leaves most of
    them; other families (see `masks.family`), and holes in a photo that is the frame itself, are as in the frame.
    Raises MaskError for an unknown family and PhotoError for a frame whose centre lies outside the photo.
    """
    plain = placement.photo_mask(name, photo.size)
    if placement.exact or name not in FOLLOWING or plain.all():
        return plain
    distances = face_map(photo, placement) if distances is None else distances
    around = Placement(placement.x, placement.y, placement.size * SIDE / FRAME, placement.angle)
    box = hole_box(around.photo_mask(np.zeros((FRAME, FRAME), dtype=bool), photo.size))
    assert box is not None  # since the frame's centre lies in the photo
    left, top, right, bottom = box
    x, y = placement.frame_points(box)
    if name in HALVES:
        start, end = HALVES[name]
        shape, core = (x >= start) & (x < end) & (y >= 0) & (y < FRAME), np.zeros(x.shape, dtype=bool)
    else:
        shape, core = (part.contains(x, y) for part in SHAPES[name])
    distance = cv2.remap(distances, x + ROOM - 0.5, y + ROOM - 0.5, cv2.INTER_LINEAR)
    hole = shape & (distance > INSIDE) | core
    if hole.sum() < LEAST[name in HALVES] * shape.sum():
        hole = shape
    keep = np.ones_like(plain)
    keep[top:bottom, left:right] = ~hole
    return keep if not keep.all() else plain

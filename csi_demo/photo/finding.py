"""Finding the faces in a photo: a Haar cascade at several angles proposes, the aligner refines and decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
import torch
from PIL import Image

from .. import weights
from ..device import plain_torch, share_threads
from ..models.aligner import Aligner
from ..pixels import FRAME, to_float
from .placement import LARGEST, SMALLEST, Placement, pixel_matrix
from .reading import PhotoLike, to_photo

CASCADE = "haarcascade_frontalface_alt2.xml"
ANGLES = (0, -30, 30)  # degrees that a head may be tilted by, give or take fifteen
COARSE, FINE = (480, 400), (960, 640)  # longest side of the photo when upright and when tilted faces are looked for
LARGE = 0.25  # of the photo's longest side: with a frame of that size in it, it is not looked at finely
BOX = 24  # side of the smallest box of the cascade, in pixels of the reduced photo
SIZE_STEP, AGREEING = 1.15, 1  # from one size of box to the next; boxes that have to lie on a face
FRAME_PER_BOX, DROP = 1.255, 0.147  # the frame's side in widths of a box, and how far the box's centre lies below its
PASSES, LAST_PASSES = 3, 4  # of proposals, and of faces that were found
STARTS = (0.9, 1.0, 1.15, 1.3)  # of the latter, in sizes that were found
SURE, SURE_ALONE = 4.0, 6.0  # logit above which a crop holds a face, with and without the cascade's word for it
LIMITS = torch.tensor([0.4, 0.4, 0.6, 0.8])  # of one correction: shifts in sides, log scale, radians
ASIDE = 0.3  # what a face counts less at the photo's border than in its middle
CROPS = 64  # at a time
SCAN_WINDOWS = 600  # at most, when the cascade finds nothing

_cascade_lock = Lock()


@plain_torch()
def find_faces(photo: PhotoLike) -> list[Placement]:
    """The frames of the faces in a photo of any size, the one a visitor likely means first; empty where there are none.

    photo: see `to_photo`. Faces tilted by up to some 45 degrees are found, down to about a thirtieth of the photo's
    longest side, or a sixteenth beside a large one. Raises WeightsError when the aligner's weights are missing or
    damaged, and as `to_photo`.
    """
    photo = to_photo(photo)
    share_threads()
    small, step = _resized(photo, FINE[0])
    if min(small.size) < SMALLEST:
        return []
    for sides in (COARSE, FINE):
        found = _apart(_refined(small, [Placement.centred(small.size), *_cascade(small, *sides)]), SURE)
        if any(face.size > LARGE * max(small.size) for face, _ in found):
            break
    if not found:
        found = _apart(_refined(small, _scan(small)), SURE_ALONE)
    found = [_settled(small, *pair) for pair in found]
    found.sort(key=lambda pair: -_prominence(pair[0], pair[1], small.size))
    placements = [
        Placement(face.x * step, face.y * step, face.size * step, face.angle)
        for face, _ in found
        if face.size * step >= SMALLEST
    ]
    return [face for face, _ in _pass(photo, placements)] if step > 1 else placements  # where the photo is sharpest


def _prominence(face: Placement, logit: float, photo: tuple[int, int]) -> float:
    """How likely a visitor means this face: it is large, surely one, whole in the photo and near its middle."""
    inside, off = 1.0, 0.0
    for centre, edge in zip((face.x, face.y), photo, strict=True):
        inside *= max(min(centre + face.size / 2, edge) - max(centre - face.size / 2, 0.0), 0.0) / face.size
        off = max(off, abs(2.0 * centre / edge - 1.0))
    return face.size * inside * (1.0 - ASIDE * off) / (1.0 + math.exp(-logit))


def _resized(photo: Image.Image, side: int) -> tuple[Image.Image, float]:
    """The photo with its longest side reduced to `side`, or raised to a quarter of it; and its pixels' size."""
    longest = max(photo.size)
    wanted = min(side, max(longest, side // 4))
    if wanted == longest:
        return photo, 1.0
    size = tuple(max(1, round(edge * wanted / longest)) for edge in photo.size)
    reduced = photo.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)  # type: ignore[arg-type]
    return reduced, longest / wanted


@cache
def _detector() -> cv2.CascadeClassifier:
    return cv2.CascadeClassifier(str(Path(cv2.__file__).parent / "data" / CASCADE))


def _cascade(photo: Image.Image, upright_side: int, tilted_side: int) -> list[Placement]:
    """What the cascade takes for faces, at each angle, in the photo reduced to these longest sides."""
    grey = photo.convert("L")
    placements = []
    for angle in ANGLES:
        reduced, unit = _resized(grey, tilted_side if angle else upright_side)
        pixels, matrix = _turned(np.asarray(reduced), angle) if angle else (np.asarray(reduced), np.eye(2, 3))
        with _cascade_lock:
            boxes = _detector().detectMultiScale(pixels, SIZE_STEP, AGREEING, minSize=(BOX, BOX))
        matrix = unit * matrix
        scale = math.hypot(*matrix[:, 0])
        for left, top, width, _ in boxes:
            x, y = matrix @ (left + width / 2, top + (0.5 - DROP) * width, 1.0)
            placements.append(Placement(float(x), float(y), scale * FRAME_PER_BOX * float(width), angle))
    return placements


def _turned(grey: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """A picture turned so that faces tilted clockwise by `angle` stand upright, and the (2, 3) matrix back."""
    height, width = grey.shape
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    size = np.array([width * cosine + height * abs(sine), width * abs(sine) + height * cosine])
    turn = np.array([[cosine, -sine], [sine, cosine]])
    matrix = np.column_stack((turn, (width / 2, height / 2) - turn @ size / 2))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(grey, pixel_matrix(matrix), tuple(size.astype(int).tolist()), flags=flags), matrix


def _scan(photo: Image.Image) -> list[Placement]:
    """The likeliest places of a face among upright squares of many sizes all over the photo."""
    windows: list[Placement] = []
    side = 0.95 * min(photo.size)
    while len(windows) < SCAN_WINDOWS and side >= 40:
        stride = 0.35 * side
        across, down = (
            np.linspace(0.35 * side, edge - 0.35 * side, 1 + math.ceil(edge / stride)) for edge in photo.size
        )
        windows += [Placement(float(x), float(y), side) for y in down for x in across]
        side /= 1.5
    scored = _pass(photo, windows[:SCAN_WINDOWS])
    return [face for face, _ in sorted(scored, key=lambda pair: -pair[1])[:16]]


def _refined(photo: Image.Image, proposals: Sequence[Placement], passes: int = PASSES) -> list[tuple[Placement, float]]:
    """Proposals corrected a few times, with the logit of the last crop."""
    found = [(face, 0.0) for face in proposals]
    for _ in range(passes):
        found = _pass(photo, [face for face, _ in found])
    return found


def _settled(photo: Image.Image, face: Placement, logit: float) -> tuple[Placement, float]:
    """What corrections come to from several sizes, the mean by how sure each is, and the logit of the surest.

    A correction goes part of the way where the aligner is in doubt, so that each start ends on its own side.
    """
    starts = [Placement(face.x, face.y, share * face.size, face.angle) for share in STARTS]
    return _mean(_refined(photo, starts, LAST_PASSES), face) or (face, logit)


def _mean(ends: Sequence[tuple[Placement, float]], face: Placement) -> tuple[Placement, float] | None:
    """The mean of those placements that are of the same face as another, by how sure each is, and the logit of the
    surest. None where none is."""
    same = [(end, logit) for end, logit in ends if _share(end, face)]
    if not same:
        return None
    surest = max(logit for _, logit in same)
    numbers = np.array([(end.x, end.y, math.log(end.size), end.angle) for end, _ in same])
    x, y, size, angle = np.average(numbers, axis=0, weights=[math.exp(logit - surest) for _, logit in same]).tolist()
    return Placement(x, y, math.exp(size), angle), surest


def _share(face: Placement, other: Placement) -> bool:
    """Whether two placements are of the same face."""
    return math.hypot(face.x - other.x, face.y - other.y) <= 0.4 * max(face.size, other.size)


def _apart(found: Sequence[tuple[Placement, float]], sure: float) -> list[tuple[Placement, float]]:
    """The placements with a logit above `sure`; of a group that share a face, the surest."""
    kept: list[tuple[Placement, float]] = []
    for face, logit in sorted(found, key=lambda pair: -pair[1]):
        if logit > sure and not any(_share(face, other) for other, _ in kept):
            kept.append((face, logit))
    return kept


@cache
def _aligner() -> Aligner:
    return weights.load_network("aligner")


@torch.inference_mode()
def _pass(photo: Image.Image, placements: Sequence[Placement]) -> list[tuple[Placement, float]]:
    """Each placement corrected once, and the logit of a face in the crop before.

    Left out: placements whose centre is not in the photo, and those that would get too small or too large.
    """
    inside = [face for face in placements if face.meets(photo.size)]
    result = []
    for start in range(0, len(inside), CROPS):
        part = inside[start : start + CROPS]
        crops = torch.from_numpy(np.stack([np.asarray(face.frame(photo)) for face in part]))
        corrections, logits = _aligner()(to_float(crops.permute(0, 3, 1, 2)))
        corrections = corrections.clamp(-LIMITS, LIMITS)
        for face, (dx, dy, scale, angle), logit in zip(part, corrections.tolist(), logits.tolist(), strict=True):
            if SMALLEST <= face.size * math.exp(scale) <= LARGEST:
                result.append((face.moved(FRAME * dx, FRAME * dy, math.exp(scale), math.degrees(angle)), logit))
    return result

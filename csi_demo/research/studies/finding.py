"""How exactly faces are found: pictures whose frame is known, turned, scaled and pasted among other content."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from ...data import read_pack
from ...photo.celeba import FACE, PICTURE, background
from ...photo.finding import find_faces
from ...photo.placement import Placement, pixel_matrix, warp
from ...pixels import FRAME, to_bytes

EYES = np.array([(22.25, 33.25), (41.5, 33.25)])  # in the frame
SHIFT, SCALE, ANGLE = 0.2, (0.7, 1.4), 30.0  # of the canvas, of the picture, degrees either way
FOUND = 0.25  # of the frame's side: a placement that is further off than this is of something else


def evaluate_alignment(data: str | Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Finds the face in scenes (see `scene`) made of a pack of whole 178x218 pictures.

    Returns found (share of scenes whose first placement lies on the face), eye_error_median, eye_error_p95 (mean
    distance of both eyes from where the true frame has them, in pixels of the 64x64 frame, over the faces found),
    angle_error_median (degrees), scale_error_median (share), more_found (placements beyond the first, per scene),
    seconds_per_photo and n. Raises DataError and WeightsError.
    """
    pictures = read_pack(data, limit, PICTURE).permute(0, 2, 3, 1).numpy()
    rng = np.random.default_rng(seed)
    errors, angles, scales, extra = [], [], [], 0
    seconds = 0.0
    for index in range(len(pictures)):
        photo, truth = scene(pictures, index, rng)
        began = time.perf_counter()
        found = find_faces(photo)
        seconds += time.perf_counter() - began
        extra += len(found[1:])
        if found and (error := eye_error(found[0], truth)) < FOUND * FRAME:
            errors.append(error)
            angles.append(abs(found[0].angle - truth.angle))
            scales.append(abs(math.log(found[0].size / truth.size)))
    figures = {
        "found": len(errors) / len(pictures),
        "eye_error_median": float(np.median(errors)),
        "eye_error_p95": float(np.percentile(errors, 95)),
        "angle_error_median": float(np.median(angles)),
        "scale_error_median": float(np.median(scales)),
        "more_found": extra / len(pictures),
        "seconds_per_photo": seconds / len(pictures),
    }
    return {"n": len(pictures)} | {name: round(value, 4) for name, value in figures.items()}


def eye_error(found: Placement, truth: Placement) -> float:
    """Mean distance of the true eyes from their place in the frame that was found, in frame pixels."""
    return float(np.linalg.norm(found.to_frame(truth.to_photo(EYES)) - EYES, axis=1).mean())


def scene(pictures: np.ndarray, index: int, rng: np.random.Generator) -> tuple[Image.Image, Placement]:
    """A photo with one picture of uint8 (N, 218, 178, 3) among other content, and where its frame lies.

    The picture is cut down at random first, so that its border says nothing about the face, and its border is as often
    soft as hard. The rest is a mosaic of noise, gradients and parts of other pictures.
    """
    width, height = (int(edge) for edge in rng.integers(380, 700, 2))
    rows, columns = rng.integers(1, 5, 2)
    tiles = [
        np.concatenate([background(pictures[rng.integers(len(pictures))], rng) for _ in range(columns)], 1)
        for _ in range(rows)
    ]
    canvas = cv2.resize(np.concatenate(tiles), (width, height), interpolation=cv2.INTER_LINEAR)
    x, y = (edge * (0.5 + rng.uniform(-SHIFT, SHIFT)) for edge in (width, height))
    truth = Placement(x, y, FACE.size * math.exp(rng.uniform(*np.log(SCALE))), rng.uniform(-ANGLE, ANGLE))
    left, right = rng.integers(0, 25, 2)
    top, bottom = rng.integers(0, 40, 2)
    cover: np.ndarray = np.zeros((PICTURE[1], PICTURE[0]), dtype=np.float32)
    cover[top : PICTURE[1] - bottom, left : PICTURE[0] - right] = 1.0
    if rng.random() < 0.5:
        cover = cv2.GaussianBlur(cover, (0, 0), 4.0)
    matrix = FACE.size / FRAME * truth.inverse  # from the canvas to the picture
    matrix[:, 2] += np.array([FACE.x, FACE.y]) - FACE.size / 2
    share = cv2.warpAffine(cover, pixel_matrix(matrix), (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)[
        ..., None
    ]
    pasted = warp(np.ascontiguousarray(pictures[index]), matrix, (height, width))
    return Image.fromarray(to_bytes(share * pasted + (1.0 - share) * canvas)), truth

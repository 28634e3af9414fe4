"""Fitting a fill to a photo of higher resolution: colours by gradients, grain by the surroundings' own.

Pictures are (height, width, 3) in 0 ... 255, for `poisson` in any range; hole and ring are boolean (height, width).
Nothing here reads what the photo holds in the hole: someone may have painted it out for a reason.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

REACH = 5.0  # frame pixels around the hole that count as its surroundings
NEIGHBOURS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32) / 4.0
COARSEST = 6  # side of the smallest picture that the membrane is solved on
NOISE_TILE = 512


def margin(step: float) -> int:
    """How many photo pixels around a hole `blend` wants to see, for `step` photo pixels a frame pixel."""
    return math.ceil(max(REACH * step, 8.0))


def extend(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A frame's fill alone, continued beyond the hole: float32 (64, 64, 3), observed pixels replaced by fill nearby."""
    weight = hole.astype(np.float32)
    filled = frame.astype(np.float32) * weight[..., None]
    for _ in range(hole.shape[0]):
        near = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
        spread = cv2.blur(filled, (3, 3), borderType=cv2.BORDER_CONSTANT)
        fresh = (near > 1e-6) & (weight == 0)
        if not fresh.any():
            break
        filled[fresh] = spread[fresh] / near[fresh][:, None]
        weight[fresh] = 1.0
    return filled


def blend(photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, step: float) -> np.ndarray:
    """The photo (uint8) with the fill (float32) in the hole, its colours and grain those of the photo around it.

    The fill keeps its gradients and takes the photo's values at the hole's edge (Perez et al., 2003: what is added is
    harmonic, so fine differences end near the edge and a drift of colour is lifted as a whole). Then grain is added
    until every octave finer than a frame pixel is as strong as around the hole. step: photo pixels a frame pixel.
    """
    result = poisson(photo, hole, fill, max(1, round(0.5 * step)))
    around = _grown(hole, margin(step)) & ~hole
    if around.any():
        result = result + grain(np.where(hole[..., None], result, photo), hole, around, step)
    return np.where(hole[..., None], to_bytes(result), photo)


def poisson(photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, reach: int = 1) -> np.ndarray:
    """The fill (h, w, 3) lifted so that it meets the photo at the hole's edge and keeps its gradients (Perez et al.).

    reach: how many pixels beyond the hole count as its edge. A hole without an edge leaves the fill as it is.
    """
    edge = _grown(hole, reach) & ~hole
    return fill + membrane(photo - fill, edge) if edge.any() else fill


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Rounded and clipped to uint8."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def _grown(hole: np.ndarray, by: int) -> np.ndarray:
    return cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3) <= by


def membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The harmonic continuation of float32 values (h, w, c) given where known (h, w) is True; coarse to fine.

    The picture's own border is free. At least one value must be known.
    """
    height, width = known.shape
    values = np.where(known[..., None], values, 0.0).astype(np.float32)
    if min(height, width) <= COARSEST:
        result: np.ndarray = np.empty_like(values)
        result[:] = values.sum((0, 1)) / known.sum()
        sweeps = 4 * max(height, width)
    else:
        half = ((width + 1) // 2, (height + 1) // 2)
        weight = cv2.resize(known.astype(np.float32), half, interpolation=cv2.INTER_AREA)
        coarse = cv2.resize(values, half, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
        result = cv2.resize(membrane(coarse, weight > 0), (width, height), interpolation=cv2.INTER_LINEAR)
        sweeps = 10
    where = known.astype(np.uint8)
    for _ in range(sweeps):
        cv2.copyTo(values, where, result)
        result = cv2.filter2D(result, -1, NEIGHBOURS, borderType=cv2.BORDER_REPLICATE)
    return cv2.copyTo(values, where, result)


def grain(picture: np.ndarray, hole: np.ndarray, around: np.ndarray, step: float) -> np.ndarray:
    """Noise (h, w, 3) that gives each octave finer than a frame pixel the strength in the hole that it has around it.

    Strengths are robust (median absolute deviation), so that an edge nearby does not pass for grain. The noise is the
    same for the same picture size.
    """
    rng = np.random.default_rng(0)
    levels = max(1, min(int(math.log2(max(step, 1.0))) + 1, int(math.log2(min(hole.shape)))))
    bands = []
    fine: np.ndarray = picture.astype(np.float32)
    for _ in range(levels):
        coarse: np.ndarray = cv2.pyrDown(fine)
        band = fine - cv2.pyrUp(coarse, dstsize=fine.shape[1::-1])
        noise = _white(fine.shape, rng)
        noise -= cv2.pyrUp(cv2.pyrDown(noise), dstsize=fine.shape[1::-1])
        inside, outside = (_at_level(part, fine.shape) for part in (hole, around))
        if inside.any() and outside.any():
            noise = noise @ _mixing(band[outside], band[inside], noise[inside])
            bands.append(noise)
        fine = coarse
    result = np.zeros((1, 1, 3), dtype=np.float32)
    for band in reversed(bands):
        result = band if result.shape == (1, 1, 3) else band + cv2.pyrUp(result, dstsize=band.shape[1::-1])
    return result


def _at_level(part: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A part of the picture in a smaller version of it: pixels that lie wholly in it."""
    return cv2.resize(part.astype(np.float32), shape[1::-1], interpolation=cv2.INTER_AREA) > 0.99


def _white(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise, one tile repeated."""
    height, width = shape[:2]
    tile = rng.standard_normal((min(height, NOISE_TILE), min(width, NOISE_TILE), 3), dtype=np.float32)
    repeats = (math.ceil(height / tile.shape[0]), math.ceil(width / tile.shape[1]), 1)
    return np.tile(tile, repeats)[:height, :width]


def _mixing(wanted: np.ndarray, present: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(3, 3): turns white noise (n, 3) into what `present` lacks of the strength and correlation of `wanted`."""
    strength = np.sqrt(np.maximum(_deviation(wanted) ** 2 - _deviation(present) ** 2, 0.0)) / _deviation(noise)
    clipped = np.clip(wanted / np.maximum(3.0 * _deviation(wanted), 1e-3), -1.0, 1.0)
    second = clipped.T @ clipped / len(clipped) + 1e-6 * np.eye(3)
    root = np.linalg.cholesky(second / np.sqrt(np.outer(np.diag(second), np.diag(second))))
    return (root.T * strength).astype(np.float32)


def _deviation(samples: np.ndarray) -> np.ndarray:
    """Robust standard deviation of each channel of (n, 3), from at most some ten thousand rows."""
    rows = samples[:: max(1, len(samples) // 10_000)]
    return 1.4826 * np.median(np.abs(rows - np.median(rows, 0)), 0) + 1e-6

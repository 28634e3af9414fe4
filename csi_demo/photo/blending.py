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
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
COARSEST = 6  # side of the smallest picture that the membrane is solved on
NOISE_TILE = 512
CONTINUED = 8  # pixels of a fill beyond the hole
SMOOTH = 0.3  # share of the surroundings, the smoothest, that grain is measured on


def margin(step: float) -> int:
    """How many photo pixels around a hole `blend` wants to see, for `step` photo pixels a frame pixel."""
    return math.ceil(max(REACH * step, 8.0))


def extend(frame: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A frame's fill alone, continued a little beyond the hole, as far as enlarging looks: float32 (h, w, 3)."""
    weight = hole.astype(np.float32)
    filled = frame.astype(np.float32) * weight[..., None]
    for _ in range(CONTINUED):
        near = cv2.blur(weight, (3, 3), borderType=cv2.BORDER_CONSTANT)
        spread = cv2.blur(filled, (3, 3), borderType=cv2.BORDER_CONSTANT)
        fresh = (near > 1e-6) & (weight == 0)
        if not fresh.any():
            break
        filled[fresh] = spread[fresh] / near[fresh][:, None]
        weight[fresh] = 1.0
    return filled


def blend(photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, step: float, refined: bool = False) -> np.ndarray:
    """The photo (uint8) with the fill (float32) in the hole, its colours and grain those of the photo around it.

    The fill keeps its gradients and takes the photo's values at the hole's edge (Perez et al., 2003: what is added is
    harmonic, so fine differences end near the edge and a drift of colour is lifted as a whole). Then grain is added
    until every octave that the fill cannot hold is as strong as where it is smooth around the hole. step: photo pixels
    a pixel of the fill. refined: whether the fill is as sharp as its pixels allow, up to the last octave.
    """
    distance = cv2.distanceTransform((~hole).view(np.uint8), cv2.DIST_L2, 3)
    outside, where = distance > 0, hole.view(np.uint8)
    edge = outside & (distance <= max(1, round(0.5 * step)))
    around = outside & (distance <= margin(step))
    result = fill
    if edge.any():
        result = cv2.add(result, _lift(photo, fill, edge, step))
    added = np.zeros_like(result)
    octaves = int(math.log2(max(step, 1.0))) + (not refined)
    if octaves and around.any():
        added = grain(cv2.copyTo(result, where, photo.astype(np.float32)), hole, around, octaves)
    return cv2.copyTo(cv2.add(result, added, dtype=cv2.CV_8U), where, photo.copy())


def _lift(photo: np.ndarray, fill: np.ndarray, edge: np.ndarray, step: float) -> np.ndarray:
    """What the fill (h, w, 3) lacks at the edge, continued over all of it.

    It is smooth, so an eighth of a frame pixel is fine enough to solve it on.
    """
    height, width = edge.shape
    reduction = max(1, int(step / 8))
    size = (-(-width // reduction), -(-height // reduction))
    lack = cv2.copyTo(cv2.subtract(photo, fill, dtype=cv2.CV_32F), edge.view(np.uint8))
    weight = cv2.resize(edge.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    lack = cv2.resize(lack, size, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    return cv2.resize(membrane(lack, weight > 0), (width, height), interpolation=cv2.INTER_LINEAR)


def poisson(photo: np.ndarray, hole: np.ndarray, fill: np.ndarray) -> np.ndarray:
    """The fill (h, w, 3) lifted so that it meets the photo at the hole's edge and keeps its gradients (Perez et al.).

    A hole without an edge leaves the fill as it is.
    """
    edge = cv2.dilate(hole.view(np.uint8), CROSS).view(bool) & ~hole
    return fill + _lift(photo, fill, edge, 1.0) if edge.any() else fill


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


def grain(picture: np.ndarray, hole: np.ndarray, around: np.ndarray, octaves: int) -> np.ndarray:
    """Noise (h, w, 3) that gives each of the finest octaves the strength in the hole that it has around it.

    It is measured where the surroundings are smoothest, so that hair and edges do not pass for grain; strengths are
    robust (median absolute deviation). The noise is the same for the same picture size.
    """
    rng = np.random.default_rng(0)
    levels = max(1, min(octaves, int(math.log2(min(hole.shape)))))
    bands: list[np.ndarray] = []
    fine: np.ndarray = picture.astype(np.float32, copy=False)
    inside, outside = hole.view(np.uint8), around.view(np.uint8)
    for _ in range(levels):
        coarse: np.ndarray = cv2.pyrDown(fine)
        present, wanted = _some(inside), _some(outside)
        if len(present) and len(wanted):
            wanted = _smoothest(wanted, structure(coarse), fine.shape)
            band = cv2.subtract(fine, cv2.pyrUp(coarse, dstsize=fine.shape[1::-1])).reshape(-1, 3)
            tile = _octave(fine.shape, rng)
            bands.append(_tiled(cv2.transform(tile, _mixing(band[wanted], band[present], tile).T), fine.shape))
        fine = coarse
        inside, outside = (_halved(part, fine.shape) for part in (inside, outside))
    result: np.ndarray = np.zeros_like(picture, dtype=np.float32)
    for level, finer in enumerate(reversed(bands)):
        result = cv2.add(finer, cv2.pyrUp(result, dstsize=finer.shape[1::-1])) if level else finer
    return result


def structure(picture: np.ndarray) -> np.ndarray:
    """How much a picture (h, w, 3) varies around each pixel: (h, w). Grain, already averaged, counts for little."""
    grey = picture.mean(2)
    apart = cv2.absdiff(grey, cv2.GaussianBlur(grey, (0, 0), 2.0))
    return cv2.blur(apart, (5, 5))


def _smoothest(pixels: np.ndarray, uneven: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Of the indices of pixels, those where a picture of half the size is least uneven, SMOOTH of them all."""
    rows, columns = np.divmod(pixels, shape[1])
    found = uneven[(rows // 2).clip(0, uneven.shape[0] - 1), (columns // 2).clip(0, uneven.shape[1] - 1)]
    return pixels[found <= np.quantile(found, SMOOTH)]


def _halved(part: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A part of the picture (uint8, 0 or 1) in a picture of half the size: pixels that lie wholly in it."""
    return cv2.resize(255 * part, shape[1::-1], interpolation=cv2.INTER_AREA) // 253


def _some(part: np.ndarray) -> np.ndarray:
    """The indices of some ten thousand pixels of a part of the picture, or of all if they are fewer."""
    pixels = np.flatnonzero(part)
    return pixels[:: max(1, len(pixels) // 10_000)]


def _octave(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Standard normal noise without what a picture of half the size could show: a tile that can be repeated."""
    size = (min(shape[0], NOISE_TILE), min(shape[1], NOISE_TILE), 3)
    noise = np.pad(rng.standard_normal(size, dtype=np.float32), ((8, 8), (8, 8), (0, 0)), mode="wrap")
    noise -= cv2.pyrUp(cv2.pyrDown(noise), dstsize=noise.shape[1::-1])
    return np.ascontiguousarray(noise[8:-8, 8:-8])


def _tiled(tile: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tile repeated over a picture of this shape."""
    height, width = shape[:2]
    return np.tile(tile, (math.ceil(height / tile.shape[0]), math.ceil(width / tile.shape[1]), 1))[:height, :width]


def _mixing(wanted: np.ndarray, present: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(3, 3): turns noise (h, w, 3) into what `present` (n, 3) lacks of the strength and correlation of `wanted`."""
    white = _deviation(noise.reshape(-1, 3)[::8])
    strength = np.sqrt(np.maximum(_deviation(wanted) ** 2 - _deviation(present) ** 2, 0.0)) / white
    clipped = np.clip(wanted / np.maximum(3.0 * _deviation(wanted), 1e-3), -1.0, 1.0)
    second = clipped.T @ clipped / len(clipped) + 1e-6 * np.eye(3)
    root = np.linalg.cholesky(second / np.sqrt(np.outer(np.diag(second), np.diag(second))))
    return (root.T * strength).astype(np.float32)


def _deviation(samples: np.ndarray) -> np.ndarray:
    """Robust standard deviation of each channel of (n, 3)."""
    return 1.4826 * np.median(np.abs(samples - np.median(samples, 0)), 0) + 1e-6

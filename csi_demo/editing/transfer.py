"""Edit transfer (Brock et al., 2017, section "Editing photos"): what an edit changes, carried over to the photo.

With photo X, reconstruction R and edited reconstruction G(z): Delta = G(z) - R; M = the channels' mean of |Delta|,
times a strength (in the paper 1), at most 1, smoothed; Y = R + M Delta + (1 - M)(X - R). That is Y = X + M (Delta -
(X - R)): a photo plus a change that is smooth at the frame's own scale. At a higher resolution the photo keeps its
detail, and the change is enlarged.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from ..photo.placement import Placement, pixel_matrix
from ..pixels import FRAME

SMOOTHING = 0.7  # standard deviation of the mask's smoothing, in pixels of the frame
GRAIN = 0.8  # of the change's, where it is enlarged: what is finer is the photo's own, not the generator's
FINER = 4  # pixels of the grid on which mask and change are multiplied, for one of the frame
FADE = 2.0  # frame pixels over which a change ends at the square's border
QUIET = 0.5  # levels: a smaller change is none


def edit_mask(edited: np.ndarray, reconstruction: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """M, (64, 64) from 0 to 1: where edited and first reconstruction, (64, 64, 3) in [-1, 1], differ, smoothed."""
    apart = np.minimum(strength * np.abs(edited - reconstruction).mean(2), 1.0)
    return cv2.GaussianBlur(apart, (0, 0), SMOOTHING, borderType=cv2.BORDER_REPLICATE)


def edit_frame(frame: np.ndarray, edited: np.ndarray, reconstruction: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """Y, (64, 64, 3) in [-1, 1], from X, G(z) and R: the paper's equation."""
    mask = edit_mask(edited, reconstruction, strength)[..., None]
    return reconstruction + mask * (edited - reconstruction) + (1.0 - mask) * (frame - reconstruction)


def edit_photo(
    photo: np.ndarray,
    placement: Placement,
    frame: np.ndarray,
    edited: np.ndarray,
    reconstruction: np.ndarray,
    strength: float = 1.0,
) -> np.ndarray:
    """The photo (height, width, 3), uint8, with the edit in the square where the frame is placed.

    frame, edited, reconstruction: (64, 64, 3) in [-1, 1]. Where the change is less than half a level the photo's pixels
    are its own, bit for bit.
    """
    mask = edit_mask(edited, reconstruction, strength)
    if placement.exact:
        change, scale = 127.5 * mask[..., None] * (edited - frame), 1
    else:
        scale = FINER
        size = (FRAME * scale, FRAME * scale)
        fine = np.clip(cv2.resize(mask, size, interpolation=cv2.INTER_CUBIC), 0.0, 1.0) * _fade(scale)
        smooth = cv2.GaussianBlur(edited - frame, (0, 0), GRAIN, borderType=cv2.BORDER_REPLICATE)
        change = 127.5 * fine[..., None] * cv2.resize(smooth, size, interpolation=cv2.INTER_CUBIC)
    return _added(photo, placement, change.astype(np.float32), scale)


def _fade(scale: int) -> np.ndarray:
    """1 inside, falling to 0 at the square's border: (64 scale, 64 scale)."""
    place = (np.arange(FRAME * scale, dtype=np.float32) + 0.5) / scale
    edge = np.clip(np.minimum(place, FRAME - place) / FADE, 0.0, 1.0)
    return np.minimum.outer(edge, edge)


def _added(photo: np.ndarray, placement: Placement, change: np.ndarray, scale: int) -> np.ndarray:
    """The photo plus a change in levels, given on a grid of `scale` pixels for one of the frame."""
    result = photo.copy()
    red, green, blue = np.moveaxis(np.abs(change) >= QUIET, 2, 0)
    box = _box(red | green | blue, placement, scale, photo.shape)
    if box is None:
        return result
    left, top, right, bottom = box
    matrix = placement.inverse
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    enlarged = cv2.warpAffine(
        change,
        pixel_matrix(matrix * scale),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
    )
    part = result[top:bottom, left:right]
    result[top:bottom, left:right] = cv2.add(part, enlarged, dtype=cv2.CV_8U)
    return result


def _box(
    changed: np.ndarray, placement: Placement, scale: int, shape: tuple[int, ...]
) -> tuple[int, int, int, int] | None:
    """The part of a photo of this (height, width, ...) that what is changed reaches; None where nothing is."""
    rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
    if not len(rows):
        return None
    xs, ys = (np.array([line[0] - 1, line[-1] + 2]) / scale for line in (columns, rows))
    corners = placement.to_photo(np.array([(x, y) for x in xs for y in ys]))
    left, top = np.floor(corners.min(0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), (shape[1], shape[0]))
    return (int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None


def square_into(photo: Image.Image, placement: Placement, picture: Image.Image) -> Image.Image:
    """The photo with the whole square replaced by a 64x64 picture, faded in at its border unless it fits exactly."""
    pixels = np.asarray(photo)
    if placement.exact:
        change, scale = np.asarray(picture).astype(np.float32) - np.asarray(placement.frame(photo)), 1
        return Image.fromarray(_added(pixels, placement, change.astype(np.float32), scale))
    matrix = placement.inverse
    height, width = pixels.shape[:2]
    corners = np.array(placement.corners)
    left, top = np.floor(corners.min(0)).astype(int).clip(0)
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), (width, height))
    matrix[:, 2] += matrix[:, :2] @ (left, top)
    size = (int(right - left), int(bottom - top))
    inverse = pixel_matrix(matrix)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(np.asarray(picture), inverse, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cover = cv2.warpAffine(_fade(1), inverse, size, flags=flags, borderMode=cv2.BORDER_CONSTANT)[..., None]
    result = pixels.copy()
    part = result[top:bottom, left:right].astype(np.float32)
    result[top:bottom, left:right] = np.rint(part + cover * (drawn - part))
    return Image.fromarray(result)

"""Fills redrawn at the photo's own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ..device import plain_torch
from ..pixels import FRAME, mask_to_tensor, to_bytes, to_tensor
from .blending import poisson
from .placement import Placement

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.refiner import Refiner

SIDE = 2 * FRAME  # what the refiner has learned: pixels for the side of the frame
WINDOW = 176  # and for that of the window which it sees: what lies around the frame says how a chin or a jaw goes on
MARGIN = (WINDOW - SIDE) // 4  # of the window around the frame, in frame pixels
ROOM, BLOCK = 32, 16  # pixels around the hole that later octaves show, and blocks that the refiner takes
FINER, LARGEST = 1.25, 512  # photo pixels a pixel of the last octave from which there is another; the last one's side
REDRAWN = 2.5  # standard deviation of the filter that parts what the refiner may redraw from what stays the fill's
SHARES = 9  # of the redrawn detail that are tried, from none to all
BESIDE = 4  # pixels around the hole in which the photo does not say how sharp it is, since the fill blurs into them


@cache
def load_refiner() -> Refiner:
    """The refiner, loaded once. Raises WeightsError."""
    import torch

    from .. import weights

    refiner = weights.load_network("refiner")
    return refiner.to(memory_format=torch.channels_last)


def can_refine() -> bool:
    """Whether the weights hold a refiner. Raises WeightsError where they are damaged."""
    from ..weights import available

    return available("refiner")


@dataclass(frozen=True)
class View:
    """The part of a photo that the refiner sees for one octave.

    side: of the whole frame, in pixels of this octave; left, top: where the part begins in the frame, may be below 0;
    context: the observed pixels, uint8 (h, w, 3); mask: boolean (h, w), True = observed.
    """

    side: int
    left: int
    top: int
    context: np.ndarray
    mask: np.ndarray

    @staticmethod
    def of(photo: Image.Image, mask: np.ndarray, placement: Placement, side: int) -> View:
        """photo, mask, placement: see `Scene.of`. The first octave shows a window around the frame, a later one what is
        near the hole."""
        step = side // FRAME
        window = placement.moved(0.0, 0.0, WINDOW / SIDE, 0.0)
        hole = np.pad((~placement.frame_mask(mask, side // 2)).repeat(2, 0).repeat(2, 1), MARGIN * step)
        if side == SIDE:
            rows = columns = slice(0, WINDOW)
        else:
            rows, columns = (_near(np.asarray(hole.any(axis))) for axis in (1, 0))
        context = window.context(photo, mask, len(hole))[rows, columns]
        return View(side, columns.start - MARGIN * step, rows.start - MARGIN * step, context, ~hole[rows, columns])

    def redrawn(self, frame: np.ndarray) -> np.ndarray:
        """A filled frame, uint8 (s, s, 3), at this octave: uint8 (side, side, 3), redrawn in the hole."""
        import torch

        from ..models.refiner import enlarge

        whole, square = _overlap(self.side, self.mask.shape, self.left, self.top)
        photo, mask, hole = to_tensor(Image.fromarray(self.context)), mask_to_tensor(self.mask), ~self.mask
        larger, coarse = enlarge(to_tensor(Image.fromarray(frame)), self.side), photo.clone()
        coarse[0, :, square[0], square[1]] = larger[0, :, whole[0], whole[1]]
        coarse = torch.where(mask > 0.5, photo, coarse)
        with torch.inference_mode():
            drawn = load_refiner()(photo, mask, coarse)
        plain, redrawn = (_pasted(photo, picture, hole) for picture in (coarse, drawn))
        result = to_bytes(127.5 * (larger[0].permute(1, 2, 0).numpy() + 1.0))
        result[whole] = to_bytes(127.5 * (as_sharp(plain, redrawn, hole) + 1.0))[square]
        return result


def _near(line: np.ndarray) -> slice:
    """The part of a line of booleans around those that are true, with room on either side, in whole blocks."""
    found = np.flatnonzero(line)
    length = min(-(-(found[-1] - found[0] + 1 + 2 * ROOM) // BLOCK) * BLOCK, len(line) // BLOCK * BLOCK)
    start = min(max((int(found[0] + found[-1]) + 1 - length) // 2, 0), len(line) - length)
    return slice(start, start + length)


def _overlap(side: int, shape: tuple[int, ...], left: int, top: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where a part of this shape and place and a frame of this side overlap: rows and columns of the frame, and of the
    part."""
    spans = [
        (start, max(start, 0), min(start + length, side)) for start, length in zip((top, left), shape, strict=True)
    ]
    rows, columns = (slice(low, high) for _, low, high in spans)
    inner_rows, inner_columns = (slice(low - start, high - start) for start, low, high in spans)
    return (rows, columns), (inner_rows, inner_columns)


@dataclass(frozen=True)
class Scene:
    """What a photo, its hole and the frame's place determine of all refinements.

    small: the frame's observed pixels, uint8 (64, 64, 3); mask: boolean (64, 64), True = observed; views: what the
    refiner sees, octave after octave.
    """

    small: np.ndarray
    mask: np.ndarray
    views: tuple[View, ...]

    @staticmethod
    def of(photo: Image.Image, mask: np.ndarray, placement: Placement) -> Scene:
        """photo: RGB; mask: boolean (height, width), True = keep. Raises PhotoError as `Placement.frame_mask`."""
        frame_mask = placement.frame_mask(mask)
        views = [View.of(photo, mask, placement, SIDE)]
        while placement.size > FINER * views[-1].side and views[-1].side < LARGEST:
            views.append(View.of(photo, mask, placement, 2 * views[-1].side))
        return Scene(placement.context(photo, mask, FRAME), frame_mask, tuple(views))

    @plain_torch()
    def refine(self, fill: Image.Image, lift: bool = True) -> Image.Image:
        """A filled 64x64 frame redrawn at 128x128, and at twice and four times that where the photo is finer; lift: its
        colours are fitted to those at the hole's edge first.

        Raises WeightsError.
        """
        frame = self._fitted(np.asarray(fill), lift)
        for view in self.views:
            frame = view.redrawn(frame)
        return Image.fromarray(frame)

    def _fitted(self, fill: np.ndarray, lift: bool) -> np.ndarray:
        """The fill in the observed pixels: uint8 (64, 64, 3)."""
        hole = ~self.mask
        fitted = poisson(self.small.astype(np.float32), hole, fill.astype(np.float32)) if lift else fill
        return np.where(hole[..., None], to_bytes(fitted), self.small)


def _pasted(photo: Tensor, fill: Tensor, hole: np.ndarray) -> np.ndarray:
    """A photo with a fill in its hole, both (1, 3, H, W), as an array (H, W, 3)."""
    known, drawn = (picture[0].permute(1, 2, 0).numpy() for picture in (photo, fill))
    return np.where(hole[..., None], drawn, known)


def as_sharp(plain: np.ndarray, redrawn: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """As much of the redrawn fill's detail as leaves the hole no sharper than the photo around it.

    plain, redrawn: the photo with the fill as it was and as the refiner drew it, float32 (H, W, 3); hole: boolean
    (H, W). The refiner has learned from sharp faces; in a soft photo its crisp teeth and lashes stand out. Sharpness is
    how strong the finest octave is beside the next. Everything coarser stays the fill's own.
    """
    around = ~cv2.dilate(hole.view(np.uint8), np.ones((2 * BESIDE + 1,) * 2, np.uint8)).view(bool)
    if not around.any():
        return redrawn
    wanted, detail = _sharpness(plain, around), redrawn - plain
    detail = np.where(hole[..., None], detail - cv2.GaussianBlur(detail, (0, 0), REDRAWN), 0.0)
    for share in np.linspace(1.0, 0.0, SHARES, dtype=np.float32):
        picture = plain + share * detail
        if _sharpness(picture, hole) <= wanted:
            break
    return picture


def _sharpness(picture: np.ndarray, where: np.ndarray) -> float:
    """The finest octave's strength over the next one's in a part, boolean (H, W), of a picture (H, W, 3)."""
    finer, coarser = (cv2.GaussianBlur(picture, (0, 0), deviation) for deviation in (1.0, 2.0))
    fine, next_one = (float(np.abs(band[where]).mean()) for band in (picture - finer, finer - coarser))
    return fine / max(next_one, 1e-6)

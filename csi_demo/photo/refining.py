"""Fills redrawn at the photo's own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image

from ..pixels import FRAME, mask_to_tensor, to_bytes, to_tensor
from .blending import poisson
from .placement import Placement

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.refiner import Refiner

SIDE = 2 * FRAME  # what the refiner has learned: pixels for the side of the frame
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
class Scene:
    """What a photo, its hole and the frame's place determine of all refinements.

    context, small: the frame's observed pixels, uint8 (128, 128, 3) and (64, 64, 3); mask: boolean (64, 64), True =
    observed.
    """

    context: np.ndarray
    small: np.ndarray
    mask: np.ndarray

    @staticmethod
    def of(photo: Image.Image, mask: np.ndarray, placement: Placement) -> Scene:
        """photo: RGB; mask: boolean (height, width), True = keep. Raises PhotoError as `Placement.frame_mask`."""
        small, context = (placement.context(photo, mask, side) for side in (FRAME, SIDE))
        return Scene(context, small, placement.frame_mask(mask))

    def refine(self, fill: Image.Image, lift: bool = True) -> Image.Image:
        """A filled 64x64 frame redrawn at 128x128; lift: its colours are fitted to those at the hole's edge first.

        Raises WeightsError.
        """
        import torch

        from ..models.refiner import enlarge

        scale, photo = SIDE // FRAME, to_tensor(Image.fromarray(self.context))
        mask = mask_to_tensor(self.mask.repeat(scale, 0).repeat(scale, 1))
        coarse = enlarge(to_tensor(Image.fromarray(self._fitted(np.asarray(fill), lift))), SIDE)
        with torch.inference_mode():
            drawn = load_refiner()(photo, mask, coarse)
        hole = mask[0, 0].numpy() < 0.5
        plain, redrawn = (_pasted(photo, picture, hole) for picture in (coarse, drawn))
        return Image.fromarray(to_bytes(127.5 * (as_sharp(plain, redrawn, hole) + 1.0)))

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

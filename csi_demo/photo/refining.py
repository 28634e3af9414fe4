"""Fills redrawn at the photo's own resolution."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..device import plain_torch
from ..pixels import FRAME, mask_to_tensor, to_bytes, to_pictures, to_tensor
from .blending import poisson
from .placement import Placement

if TYPE_CHECKING:
    from ..models.refiner import Refiner

SIDE = 2 * FRAME  # what the refiner has learned: pixels for the side of the frame


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

    @plain_torch()
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
        return to_pictures(mask * photo + (1.0 - mask) * drawn)[0]

    def _fitted(self, fill: np.ndarray, lift: bool) -> np.ndarray:
        """The fill in the observed pixels: uint8 (64, 64, 3)."""
        hole = ~self.mask
        fitted = poisson(self.small.astype(np.float32), hole, fill.astype(np.float32)) if lift else fill
        return np.where(hole[..., None], to_bytes(fitted), self.small)

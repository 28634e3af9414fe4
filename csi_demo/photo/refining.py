"""Fills redrawn at the photo's own resolution, and what a photo's colours say of those of its fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import weights
from ..models.refiner import Refiner, RefinerConfig, enlarge
from ..pixels import FRAME, to_bytes, to_pictures
from .blending import poisson
from .placement import Placement

SIDE = 2 * FRAME  # what the refiner has learned: pixels for the side of the frame


@cache
def load_refiner() -> Refiner:
    """The refiner, loaded once. Raises WeightsError."""
    refiner = weights.load_into("refiner", Refiner(RefinerConfig(**weights.load_config("refiner"))))
    return refiner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def can_refine() -> bool:
    """Whether the weights hold a refiner. Raises WeightsError where they are damaged."""
    return weights.available("refiner")


@dataclass(frozen=True)
class Scene:
    """What a photo, its hole and the frame's place determine of all refinements.

    context, small: the frame's observed pixels, uint8 (128, 128, 3) and (64, 64, 3); mask: boolean (64, 64), True =
    observed; lift: whether fills are fitted to the colours at the hole's edge.
    """

    context: np.ndarray
    small: np.ndarray
    mask: np.ndarray
    lift: bool

    @staticmethod
    def of(photo: Image.Image, mask: np.ndarray, placement: Placement, lift: bool = True) -> Scene:
        """photo: RGB; mask: boolean (height, width), True = keep. Raises PhotoError as `Placement.frame_mask`."""
        return Scene(
            placement.context(photo, mask, SIDE),
            placement.context(photo, mask, FRAME),
            placement.frame_mask(mask),
            lift,
        )

    @torch.inference_mode()
    def refine(self, frames: Sequence[Image.Image]) -> Iterator[Image.Image]:
        """Each filled 64x64 frame as a refined one of 128x128; a frame's does not depend on the others'.

        Raises WeightsError.
        """
        refiner = load_refiner()
        scale = SIDE // FRAME
        photo = _tensor(self.context)
        mask = torch.from_numpy(self.mask.repeat(scale, 0).repeat(scale, 1))[None, None].float()
        for frame in frames:
            coarse = enlarge(_tensor(self._fitted(np.asarray(frame))), SIDE)
            drawn = refiner(photo, mask, coarse).clamp(-1.0, 1.0)
            yield to_pictures(mask * photo + (1.0 - mask) * drawn)[0]

    def _fitted(self, frame: np.ndarray) -> np.ndarray:
        """The frame with its fill lifted to the photo's colours at the hole's edge: uint8 (64, 64, 3)."""
        hole = ~self.mask
        fill = poisson(self.small.astype(np.float32), hole, frame.astype(np.float32)) if self.lift else frame
        return np.where(hole[..., None], to_bytes(fill), self.small)


def _tensor(pixels: np.ndarray) -> Tensor:
    """uint8 (h, w, 3) as (1, 3, h, w) in [-1, 1]."""
    floats = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    return floats.contiguous(memory_format=torch.channels_last)

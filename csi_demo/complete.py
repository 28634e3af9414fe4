"""Filling holes in pictures: the seam of `methods`, spoken in Pillow images and NumPy masks instead of tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .faces import FRAME, Placement
from .methods import load_method
from .methods.base import Number


@dataclass(frozen=True)
class FrameStep:
    """A moment of a completion: one 64x64 RGB picture a sample, progress from 0 to 1, info on the last (see `Step`)."""

    pictures: list[Image.Image]
    progress: float
    info: dict[str, Any] = field(default_factory=dict)


def to_tensor(frame: Image.Image) -> Tensor:
    """A 64x64 RGB picture as (1, 3, 64, 64) in [-1, 1]."""
    if frame.size != (FRAME, FRAME):
        raise ValueError(f"a frame is {FRAME}x{FRAME} pixels, this one {frame.width}x{frame.height}")
    pixels = torch.from_numpy(np.array(frame.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1.0


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(n, 3, H, W) in [-1, 1] as RGB pictures; levels of `to_tensor` come back exactly."""
    pixels = ((images + 1.0) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]


def _mask_tensor(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(mask)).float()[None, None]


def complete_frame(
    frame: Image.Image,
    mask: np.ndarray,
    method: str = "csi",
    seeds: Sequence[int] = (0,),
    controls: Mapping[str, Number] | None = None,
    options: Mapping[str, Number] | None = None,
) -> Iterator[FrameStep]:
    """Fills the hole of an aligned 64x64 frame, step by step; mask: boolean (64, 64), True = observed.

    Closing the iterator stops the work. Raises as `Method.complete` and `load_method`.
    """
    steps = load_method(method).complete(to_tensor(frame), _mask_tensor(mask), seeds, controls, options)
    for step in steps:
        yield FrameStep(to_pictures(step.images), step.progress, step.info)


def start_values(frame: Image.Image, mask: np.ndarray, method: str = "csi") -> dict[str, float]:
    """Where the controls of a method stand for this frame and mask before anyone moves them."""
    return load_method(method).start_values(to_tensor(frame), _mask_tensor(mask))


def complete_photo(
    photo: Image.Image,
    mask: np.ndarray,
    method: str = "csi",
    seeds: Sequence[int] = (0,),
    controls: Mapping[str, Number] | None = None,
    options: Mapping[str, Number] | None = None,
) -> list[Image.Image]:
    """Fills the hole of a photo of any size and returns it once for every seed, at its own size.

    mask: boolean (height, width) of the photo, True = keep. The frame is the largest square in the middle of the photo.
    Raises PhotoError for a mask that does not fit, and as `complete_frame`.
    """
    photo = photo.convert("RGB")
    placement = Placement.centred(photo.size)
    *_, last = complete_frame(placement.frame(photo), placement.frame_mask(mask), method, seeds, controls, options)
    return [placement.paste(photo, mask, picture) for picture in last.pictures]

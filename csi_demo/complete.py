"""Filling holes in pictures: the seam of `methods`, spoken in Pillow images and NumPy masks instead of tensors."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from . import masks
from .errors import PhotoError
from .methods import load_method
from .methods.base import Number
from .photo.placement import Placement
from .pixels import FRAME, to_pictures, to_tensor


@dataclass(frozen=True)
class FrameStep:
    """A moment of a completion: one 64x64 RGB picture a sample, progress from 0 to 1, info and views as in `Step`."""

    pictures: list[Image.Image]
    progress: float
    info: dict[str, Any] = field(default_factory=dict)
    views: dict[str, list[Image.Image]] = field(default_factory=dict)


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
        views = {name: to_pictures(images) for name, images in step.views.items()}
        yield FrameStep(to_pictures(step.images), step.progress, step.info, views)


def start_values(frame: Image.Image, mask: np.ndarray, method: str = "csi") -> dict[str, float]:
    """Where the controls of a method stand for this frame and mask before anyone moves them."""
    return load_method(method).start_values(to_tensor(frame), _mask_tensor(mask))


def surprise(frame: Image.Image, mask: np.ndarray, method: str = "csi", seed: int = 0) -> dict[str, float]:
    """Control values drawn around where they stand for this frame and mask; see `Method.surprise`."""
    return load_method(method).surprise(to_tensor(frame), _mask_tensor(mask), seed)


def relevance(mask: np.ndarray, method: str = "csi") -> dict[str, float]:
    """What the controls of a method are ordered by for a mask, boolean (64, 64); see `Method.relevance`."""
    return load_method(method).relevance(_mask_tensor(mask))


def place_frame(photo: Image.Image, face: int | None = None) -> Placement:
    """Where the frame lies in an RGB photo: around the face of this number, 1 being the largest and surest.

    Without a number a photo of 64x64 is the frame itself, and a photo in which no face is found gets its largest square
    in the middle, with a note on standard error. Raises PhotoError for a number beyond the faces found.
    """
    if face is None and photo.size == (FRAME, FRAME):
        return Placement.centred(photo.size)
    from .photo.finding import find_faces

    found = find_faces(photo)
    if face is not None and not 1 <= face <= len(found):
        raise PhotoError(f"there is no face {face}: {_count(len(found))} found in the photo")
    if found:
        return found[(face or 1) - 1]
    print("csi_demo: no face found: the largest square in the middle of the photo is filled in", file=sys.stderr)
    return Placement.centred(photo.size)


def _count(faces: int) -> str:
    return f"{faces or 'no'} {'face was' if faces == 1 else 'faces were'}"


def fit_mask(mask: np.ndarray | str, placement: Placement, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A mask in a photo of this (width, height), boolean (height, width), and in its frame, boolean (64, 64).

    mask: in photo pixels, True = keep, or the name of a family (see `masks.family`), which is one in the frame. Raises
    MaskError for an unknown family, a mask of another size, or a hole that is not in the photo, and PhotoError for one
    that reaches outside the frame.
    """
    if isinstance(mask, str):
        small = masks.family(mask)
        large = placement.photo_mask(small, size)
        if large.all():
            raise masks.MaskError(f"the hole {mask!r} lies outside the photo where the frame is placed")
        return large, small
    if mask.shape != size[::-1]:
        raise masks.MaskError(f"the mask is {mask.shape[1]}x{mask.shape[0]}, the photo {size[0]}x{size[1]}")
    return mask, placement.frame_mask(mask)


def complete_photo(
    photo: Image.Image,
    mask: np.ndarray | str,
    method: str = "csi",
    seeds: Sequence[int] = (0,),
    controls: Mapping[str, Number] | None = None,
    options: Mapping[str, Number] | None = None,
    *,
    face: int | None = None,
    placement: Placement | None = None,
    blend: bool = True,
) -> list[Image.Image]:
    """Fills the hole of a photo of any size and returns it once for every seed, at its own size.

    mask: boolean (height, width) of the photo, True = keep, or the name of a family in the frame. The frame lies at the
    placement, or else where `place_frame` puts it. blend: fit the fill to the photo around it (see `Placement.paste`).
    Raises as `place_frame`, `fit_mask` and `complete_frame`.
    """
    photo = photo.convert("RGB")
    placement = placement or place_frame(photo, face)
    large, small = fit_mask(mask, placement, photo.size)
    *_, last = complete_frame(placement.frame(photo), small, method, seeds, controls, options)
    return [placement.paste(photo, large, picture, blend) for picture in last.pictures]

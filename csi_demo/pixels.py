"""Pictures in their forms, Pillow, NumPy, PyTorch and files, and how one becomes another. PyTorch is loaded on use."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from torch import Tensor

FRAME = 64  # side of a frame
LUMA = (0.299, 0.587, 0.114)  # brightness of red, green and blue (ITU-R BT.601)
QUICKLY = 1  # compression level of PNG files that are looked at once


def to_float(frames: Tensor) -> Tensor:
    """uint8 (..., 3, H, W) to float in [-1, 1], on the levels 2 k / 255 - 1."""
    return frames.float() / 127.5 - 1.0


def to_levels(images: Tensor) -> Tensor:
    """The inverse of `to_float`, to the nearest level."""
    return ((images + 1.0) * 127.5).round().clamp(0, 255).byte()


def to_bytes(pixels: np.ndarray) -> np.ndarray:
    """Values about 0 ... 255, rounded and clipped to uint8."""
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def to_tensor(picture: Image.Image) -> Tensor:
    """A picture as (1, 3, H, W) in [-1, 1]."""
    import torch

    return to_float(torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)[None])


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(n, 3, H, W) in [-1, 1] as RGB pictures; levels of `to_tensor` come back exactly."""
    return [Image.fromarray(picture) for picture in to_levels(images).permute(0, 2, 3, 1).cpu().numpy()]


def mask_to_tensor(mask: np.ndarray) -> Tensor:
    """A boolean (H, W) array as (1, 1, H, W), 1 = observed."""
    return masks_to_tensor([mask])


def masks_to_tensor(masks: Iterable[np.ndarray]) -> Tensor:
    """Boolean (H, W) arrays to one float tensor (B, 1, H, W), 1 = observed."""
    import torch

    return torch.from_numpy(np.stack(list(masks))).float()[:, None]


def png(picture: Image.Image, *, quickly: bool = False) -> bytes:
    """The picture as the content of a PNG file that says that it is in sRGB, and nothing else; quickly: larger."""
    said = PngImagePlugin.PngInfo()
    said.add(b"sRGB", b"\0")
    options: dict[str, Any] = {"compress_level": QUICKLY} if quickly else {}
    return _encoded(picture, "PNG", pnginfo=said, icc_profile=None, **options)


def jpeg(picture: Image.Image, quality: int = 90) -> bytes:
    """The picture as the content of a JPEG file without metadata."""
    return _encoded(picture, "JPEG", quality=quality)


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    stored = BytesIO()
    picture.save(stored, kind, **options)
    return stored.getvalue()

"""Pictures in their three forms, Pillow, NumPy and PyTorch, and how one becomes another. PyTorch is loaded on use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from torch import Tensor

FRAME = 64  # side of a frame


def to_tensor(frame: Image.Image) -> Tensor:
    """A 64x64 RGB picture as (1, 3, 64, 64) in [-1, 1]."""
    if frame.size != (FRAME, FRAME):
        raise ValueError(f"a frame is {FRAME}x{FRAME} pixels, this one {frame.width}x{frame.height}")
    import torch

    pixels = torch.from_numpy(np.array(frame.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1.0


def to_pictures(images: Tensor) -> list[Image.Image]:
    """(n, 3, H, W) in [-1, 1] as RGB pictures; levels of `to_tensor` come back exactly."""
    pixels = ((images + 1.0) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).cpu().numpy()
    return [Image.fromarray(picture) for picture in pixels]


def to_float(frames: Tensor) -> Tensor:
    """uint8 (..., 3, H, W) to float in [-1, 1], on the levels 2 k / 255 - 1."""
    return frames.float() / 127.5 - 1.0


def masks_to_tensor(masks: Iterable[np.ndarray]) -> Tensor:
    """Boolean (H, W) arrays to one float tensor (B, 1, H, W), 1 = observed."""
    import torch

    return torch.from_numpy(np.stack(list(masks))).float()[:, None]

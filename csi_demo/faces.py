"""Photo and frame: which square of a photo is the 64x64 frame, and how a filled frame goes back into the photo."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

FRAME = 64
MAX_PIXELS = 40_000_000


class PhotoError(ValueError):
    """A photo that cannot be used; the message says why and what would be right."""


def open_photo(file: str | Path | BinaryIO) -> Image.Image:
    """Reads a picture file (path or binary stream) as RGB: EXIF orientation applied, transparency laid on white.

    Raises PhotoError when it is no picture Pillow can read, or larger than 40 megapixels.
    """
    name = Path(file).name if isinstance(file, str | Path) else "the file"
    try:
        with Image.open(file) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PhotoError(f"{name} has {picture.width}x{picture.height} pixels: 40 megapixels at most")
            picture.load()
            return _as_rgb(ImageOps.exif_transpose(picture))
    except PhotoError:
        raise
    except FileNotFoundError:
        raise PhotoError(f"no such file: {name}") from None
    except Exception:
        raise PhotoError(f"{name} is not a picture that can be read: use a PNG, JPEG or WebP file") from None


def _as_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16-bit grey
        picture = Image.fromarray((np.asarray(picture).astype(np.float64) / 257.0).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        paper = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        picture = Image.alpha_composite(paper, picture)
    return picture.convert("RGB")


@dataclass(frozen=True)
class Placement:
    """Where the frame lies in a photo: an upright square, in photo pixels."""

    left: int
    top: int
    side: int

    @staticmethod
    def centred(size: tuple[int, int]) -> Placement:
        """The largest square in the middle of a photo of this (width, height)."""
        width, height = size
        side = min(width, height)
        return Placement((width - side) // 2, (height - side) // 2, side)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in photo pixels."""
        return self.left, self.top, self.left + self.side, self.top + self.side

    def frame(self, photo: Image.Image) -> Image.Image:
        """The 64x64 RGB frame; an aligned 64x64 photo comes back as it is."""
        square = photo.crop(self.box)
        return square if self.side == FRAME else square.resize((FRAME, FRAME), Image.Resampling.BOX)

    def frame_mask(self, mask: np.ndarray) -> np.ndarray:
        """A photo's mask (height, width), True = keep, in the frame: a frame pixel is hole where any of it is hole.

        Raises PhotoError when the hole reaches outside the frame or misses it.
        """
        left, top, right, bottom = self.box
        hole = ~mask
        inside = hole[top:bottom, left:right]
        if inside.sum() != hole.sum():
            raise PhotoError(f"the hole reaches outside the square {self.box} of the photo that is filled in")
        if not inside.any():
            raise PhotoError("the mask has no hole: paint the part to fill in black, leave the rest white")
        rows, columns = np.nonzero(inside)
        small = np.zeros((FRAME, FRAME), dtype=bool)
        small[rows * FRAME // self.side, columns * FRAME // self.side] = True
        return ~small

    def photo_mask(self, mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """A frame's mask (64, 64) in a photo of this (width, height): boolean (height, width), True = keep."""
        left, top, right, bottom = self.box
        index = np.arange(self.side) * FRAME // self.side
        photo = np.ones((size[1], size[0]), dtype=bool)
        photo[top:bottom, left:right] = mask[np.ix_(index, index)]
        return photo

    def paste(self, photo: Image.Image, mask: np.ndarray, frame: Image.Image) -> Image.Image:
        """The photo with the frame's pixels in the hole of `mask` (height, width), every other pixel its own."""
        left, top, right, bottom = self.box
        square = frame if self.side == FRAME else frame.resize((self.side, self.side), Image.Resampling.BICUBIC)
        pixels = np.array(photo)
        hole = ~mask[top:bottom, left:right]
        pixels[top:bottom, left:right][hole] = np.asarray(square)[hole]
        return Image.fromarray(pixels)

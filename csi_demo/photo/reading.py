"""Reading any picture file as a photo: command line, page, API and Python all do it here."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from ..errors import PhotoError

FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # of files that are taken for pictures
MAX_PIXELS = 40_000_000


def read_file(photo: Path) -> bytes:
    """A photo's file. Raises PhotoError."""
    try:
        return photo.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"no such file: {photo.name}") from None
    except OSError as error:
        raise PhotoError(f"{photo.name} cannot be read: {error.strerror}") from None


def open_photo(file: str | Path | bytes | BinaryIO, name: str | None = None) -> Image.Image:
    """Reads a picture (a path, a file's content, or a binary stream) as RGB: EXIF orientation applied, transparency
    laid on white.

    name: what errors call it. Raises PhotoError when it is no JPEG, PNG or WebP file, or larger than 40 megapixels.
    """
    name = name or (Path(file).name if isinstance(file, str | Path) else "the file")
    try:
        with Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise PhotoError(f"{name} has {picture.width}x{picture.height} pixels: 40 megapixels at most")
            picture.load()
            return _as_rgb(ImageOps.exif_transpose(picture))
    except PhotoError:
        raise
    except Image.DecompressionBombError:
        raise PhotoError(f"{name} has far too many pixels: 40 megapixels at most") from None
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

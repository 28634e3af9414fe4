"""Picture files as cameras, phones and programs store them, for the tests of reading."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "HEIF":  # which the page's own library reads, but does not write
        pillow_heif.from_pillow(picture).save(file, **({"quality": 90} | options))
    else:
        picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    check = zlib.crc32(kind + content) ^ (not sound)
    return len(content).to_bytes(4, "big") + kind + content + check.to_bytes(4, "big")


def with_chunk(data: bytes, kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    """A PNG file with one more chunk after its header."""
    return data[:33] + chunk(kind, content, sound=sound) + data[33:]

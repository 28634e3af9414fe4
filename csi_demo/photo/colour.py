"""Colours as sRGB, which is what the models have learnt, screens show and results are stored in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image, ImageCms

from ..errors import UsageError

SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # a profile's colour space -> Pillow's mode for it
FITTING = {"RGB": ("RGB", "P", "L", "1"), "L": ("L", "1"), "CMYK": ("CMYK",)}  # modes that a profile of a mode can mean
SAME = 2  # levels that two renderings of sRGB differ by at most, among profiles that all mean it
SRGB_GAMMA = 1 / 2.2
HEX = re.compile(r"#?([0-9a-fA-F]{6})")


@cache
def srgb_profile() -> bytes:
    """An ICC profile that says sRGB; always the same bytes."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + bytes((7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0)) + made[36:]  # in the place of the hour it was made


def to_srgb(picture: Image.Image) -> Image.Image:
    """An opaque picture as RGB in sRGB: by its colour profile, or its PNG's gamma, where it has one that can be read.

    A picture whose profile is one of sRGB keeps its pixels.
    """
    profile, gamma = picture.info.get("icc_profile"), picture.info.get("gamma")
    if profile and profile != srgb_profile():
        try:
            return _by_profile(picture, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, KeyError, TypeError):
            pass  # a profile that cannot be read says nothing
    picture = picture.convert("RGB")
    if profile or "srgb" in picture.info or not isinstance(gamma, float) or not 0.1 < gamma < 10.0:
        return picture
    return picture if abs(gamma - SRGB_GAMMA) < 0.01 else picture.point(_from_gamma(gamma) * 3)


def _by_profile(picture: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    mode = SPACES[source.profile.xcolor_space]
    if picture.mode not in FITTING[mode]:
        raise ValueError("a profile of another kind of picture")
    transform = ImageCms.buildTransform(
        source,
        ImageCms.createProfile("sRGB"),
        mode,
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
        ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    picture = picture.convert(mode)
    if mode == "RGB" and _changes_nothing(transform):
        return picture
    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None  # since it is not asked for in place
    return converted


def _changes_nothing(transform: Any) -> bool:
    """Whether colours stay what they are, give or take rounding."""
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(len(levels), -1, 3)
    after = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(after.astype(int) - colours).max()) <= SAME


def _from_gamma(gamma: float) -> list[int]:
    """Levels of sRGB for the levels of a PNG whose samples are light to the power of gamma."""
    light = (np.arange(256) / 255.0) ** (1.0 / gamma)
    encoded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(255.0 * encoded).astype(int).tolist()


def read_colour(colour: str | Sequence[int]) -> tuple[int, int, int]:
    """A colour as red, green and blue, 0 to 255, from ``#RRGGBB`` or three whole numbers. Raises UsageError."""
    if isinstance(colour, str):
        found = HEX.fullmatch(colour.strip())
        if not found:
            raise UsageError(f"{colour!r:.40} is no colour: write it as #RRGGBB, as in #3b2417")
        red, green, blue = bytes.fromhex(found[1])
        return red, green, blue
    try:
        red, green, blue = (int(value) for value in colour)
        whole = all(int(value) == value and 0 <= value <= 255 for value in colour)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise UsageError(f"{colour!r:.40} is no colour: it takes three whole numbers from 0 to 255")
    return red, green, blue

"""Where in the 64x64 frame an attribute of a face is to be seen."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ... import masks

TURN = "turn"  # of the head, beside the attributes

# Holes (x0, y0, x1, y1) that hide a region, with room for what surrounds it.
REGIONS: Mapping[str, tuple[int, int, int, int]] = {
    "mouth": (14, 40, 50, 62),
    "eyes": (8, 20, 56, 42),
    "nose": (20, 28, 44, 50),
    "hair": (0, 0, 64, 26),
    "face": (10, 16, 54, 62),
    "head": (2, 0, 62, 64),
}
# The same as arrays (64, 64), true where it is to be seen itself, without the room around it.
PLACES: Mapping[str, np.ndarray] = {
    region: ~(masks.family(region) if region in masks.SHAPES else masks.box(*box)) for region, box in REGIONS.items()
}
PART, GOOD_PART = 0.15, 0.3  # of a place that a hole must cover, and of one that is most of the face
LEAST = 80  # pixels of a place that a hole must cover at least
WHOLE = 0.45  # of the frame: what shows in more is a matter of the whole face
_MOUTH, _EYES, _HAIR = ("mouth", "face", "head"), ("eyes", "face", "head"), ("hair", "head")
# What CSI's named latents are trained to, in their order, and the regions that show it, the smallest first.
SHOWN: Mapping[str, tuple[str, ...]] = {
    "Smiling": _MOUTH,
    "Mouth_Slightly_Open": _MOUTH,
    "Wearing_Lipstick": _MOUTH,
    "No_Beard": _MOUTH,
    "Mustache": _MOUTH,
    "Eyeglasses": _EYES,
    "Narrow_Eyes": _EYES,
    "Bushy_Eyebrows": _EYES,
    "Bags_Under_Eyes": _EYES,
    "Bangs": _HAIR,
    "Blond_Hair": _HAIR,
    "Black_Hair": _HAIR,
    "Gray_Hair": _HAIR,
    "Wavy_Hair": ("head",),
    "Receding_Hairline": _HAIR,
    "Big_Nose": ("nose", "face", "head"),
    "Male": ("face", "head"),
    "Young": ("face", "head"),
    "Pale_Skin": ("face", "head"),
    "Heavy_Makeup": ("face", "head"),
    TURN: ("face", "head"),
}


def local(place: np.ndarray) -> bool:
    """Whether what is to be seen there, (64, 64), is no matter of the whole face."""
    return bool(place.mean() < WHOLE)


def shows(place: np.ndarray, hole: np.ndarray) -> bool:
    """Whether a hole covers enough of a place for what is there to be seen in it; (64, 64) each, true = inside."""
    return bool((place & hole).sum() > max(LEAST, (PART if local(place) else GOOD_PART) * place.sum()))

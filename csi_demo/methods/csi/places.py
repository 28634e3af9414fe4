"""Where in the 64x64 frame an attribute of a face is to be seen."""

from __future__ import annotations

from collections.abc import Mapping

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

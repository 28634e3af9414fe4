"""What is measured of a face to say what a control changes: its attributes, its colours, and where it turns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ....methods.csi.places import TURN
from ....pixels import LUMA
from ...metrics.features import face_network
from ...metrics.turn import odd_features, turning_axis

COLOURS = ("brightness", "contrast", "warmth", "saturation")
MEAN_TURN_FACES = 1000  # that the turn is learned from, at most

# Attribute -> what more of it brings, and what less of it brings. "Attractive" is a judgement and names nothing.
WORDS: dict[str, tuple[str, str]] = {
    "5_o_Clock_Shadow": ("stubble", "less stubble"),
    "Arched_Eyebrows": ("arched eyebrows", "flat eyebrows"),
    "Bags_Under_Eyes": ("bags under eyes", "fewer bags under eyes"),
    "Bald": ("bald", "less bald"),
    "Bangs": ("fringe", "less fringe"),
    "Big_Lips": ("full lips", "thin lips"),
    "Big_Nose": ("broad nose", "narrow nose"),
    "Black_Hair": ("black hair", "less black hair"),
    "Blond_Hair": ("blond hair", "less blond hair"),
    "Blurry": ("blur", "less blur"),
    "Brown_Hair": ("brown hair", "less brown hair"),
    "Bushy_Eyebrows": ("bushy eyebrows", "thin eyebrows"),
    "Chubby": ("round face", "lean face"),
    "Double_Chin": ("double chin", "less double chin"),
    "Eyeglasses": ("glasses", "less glasses"),
    "Goatee": ("goatee", "less goatee"),
    "Gray_Hair": ("grey hair", "less grey hair"),
    "Heavy_Makeup": ("make-up", "less make-up"),
    "High_Cheekbones": ("high cheekbones", "low cheekbones"),
    "Male": ("masculine", "feminine"),
    "Mouth_Slightly_Open": ("open mouth", "closed mouth"),
    "Mustache": ("moustache", "less moustache"),
    "Narrow_Eyes": ("narrow eyes", "wide eyes"),
    "No_Beard": ("less beard", "beard"),
    "Oval_Face": ("oval face", "less oval face"),
    "Pale_Skin": ("pale skin", "less pale skin"),
    "Pointy_Nose": ("pointed nose", "blunt nose"),
    "Receding_Hairline": ("high forehead", "low forehead"),
    "Rosy_Cheeks": ("rosy cheeks", "less rosy cheeks"),
    "Sideburns": ("sideburns", "less sideburns"),
    "Smiling": ("smile", "less smile"),
    "Straight_Hair": ("straight hair", "less straight hair"),
    "Wavy_Hair": ("wavy hair", "less wavy hair"),
    "Wearing_Earrings": ("earrings", "less earrings"),
    "Wearing_Hat": ("hat", "less hat"),
    "Wearing_Lipstick": ("lipstick", "less lipstick"),
    "Wearing_Necklace": ("necklace", "less necklace"),
    "Wearing_Necktie": ("necktie", "less necktie"),
    "Young": ("young", "old"),
    "brightness": ("brighter", "darker"),
    "contrast": ("more contrast", "less contrast"),
    "warmth": ("warmer", "colder"),
    "saturation": ("more colour", "less colour"),
    TURN: ("turn", "turn back"),
}


@dataclass(frozen=True)
class Measures:
    """What is measured, as learned from a set of faces; `learn` makes one."""

    turning: Tensor  # (features of one level,)
    spread: np.ndarray  # (M,), a measure's standard deviation over whole faces; for logits the mean over all of them
    correlation: np.ndarray  # (M, M), of the measures over whole faces

    @classmethod
    def learn(cls, frames: Tensor) -> Measures:
        """From faces (N, 3, 64, 64) in [-1, 1], more than one.

        The turn of a head is learned from mirrored pairs. What the face network sees in a picture minus what it sees in
        its mirror image is odd under mirroring by construction; the first principal component of these differences is
        how faces differ from their mirror images most, which is where the head turns. Its sign is arbitrary.
        """
        frames = frames[:MEAN_TURN_FACES]
        turning = turning_axis(frames)
        blank = cls(turning, np.ones(0), np.ones((0, 0)))
        values = blank.of(frames, torch.ones(frames.shape[2:], dtype=torch.bool)).numpy()
        attributes, spread = len(face_network().config.names), values.std(0).clip(1e-6)
        spread[:attributes] = spread[:attributes].mean()  # else what the network hardly sees would seem to move most
        return cls(turning, spread, np.corrcoef(values, rowvar=False))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes as the face network has them, colours, turn: M in all."""
        return (*face_network().config.names, *COLOURS, TURN)

    @torch.inference_mode()
    def of(self, images: Tensor, hole: Tensor) -> Tensor:
        """Pictures (n, 3, H, W) to (n, M): logits of the attributes; colours inside the hole (H, W), true = hole: mean
        luma, its standard deviation, red minus blue, and strongest minus weakest channel, all in [-1, 1] or [0, 2];
        turn in standard deviations over faces."""
        logits = torch.cat([face_network()(part) for part in images.split(100)])
        pixels = images[:, :, hole]
        luma = (pixels * torch.tensor(LUMA)[:, None]).sum(1)
        colours = (
            luma.mean(1),
            luma.std(1),
            (pixels[:, 0] - pixels[:, 2]).mean(1),
            (pixels.amax(1) - pixels.amin(1)).mean(1),
        )
        turn = torch.cat([odd_features(part) @ self.turning for part in images.split(100)])
        return torch.cat((logits, torch.stack((*colours, turn), 1)), 1)

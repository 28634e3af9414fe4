"""Sliders for attributes of a face, for methods whose model is given attributes y in [-1, 1].

A slider's value, times the sliders' reach, is the y that is held: -1 = surely not, 1 = surely. It starts where the
face network puts a first, unsteered fill, which follows what is visible.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import weights
from ..models.attributes import AttributeNet
from .base import Control, Method
from .csi.places import PLACES, local, shows
from .recent import Recent

KIND = "attribute"
SURPRISES = 3  # sliders that are moved to surprise someone
UNSEEN = -1.0  # rank of what does not show in a hole

# Attribute -> the slider's label, the region that shows it, and which way the label means.
SLIDERS: Mapping[str, tuple[str, str, int]] = {
    "Smiling": ("smile", "mouth", 1),
    "Mouth_Slightly_Open": ("open mouth", "mouth", 1),
    "Wearing_Lipstick": ("lipstick", "mouth", 1),
    "Big_Lips": ("full lips", "mouth", 1),
    "No_Beard": ("beard", "mouth", -1),
    "Mustache": ("moustache", "mouth", 1),
    "Goatee": ("goatee", "mouth", 1),
    "5_o_Clock_Shadow": ("stubble", "mouth", 1),
    "Double_Chin": ("double chin", "mouth", 1),
    "Eyeglasses": ("glasses", "eyes", 1),
    "Narrow_Eyes": ("narrow eyes", "eyes", 1),
    "Bags_Under_Eyes": ("bags under eyes", "eyes", 1),
    "Bushy_Eyebrows": ("bushy eyebrows", "eyes", 1),
    "Arched_Eyebrows": ("arched eyebrows", "eyes", 1),
    "Bangs": ("fringe", "hair", 1),
    "Blond_Hair": ("blond hair", "hair", 1),
    "Black_Hair": ("black hair", "hair", 1),
    "Brown_Hair": ("brown hair", "hair", 1),
    "Gray_Hair": ("grey hair", "hair", 1),
    "Receding_Hairline": ("high forehead", "hair", 1),
    "Bald": ("bald", "hair", 1),
    "Wearing_Hat": ("hat", "hair", 1),
    "Wavy_Hair": ("wavy hair", "head", 1),
    "Big_Nose": ("broad nose", "nose", 1),
    "Pointy_Nose": ("pointed nose", "nose", 1),
    "Male": ("masculine", "face", 1),
    "Young": ("young", "face", 1),
    "Heavy_Makeup": ("make-up", "face", 1),
    "Pale_Skin": ("pale skin", "face", 1),
    "Chubby": ("round face", "face", 1),
}


@cache
def face_network() -> AttributeNet:
    """The trained face network, loaded once. Raises WeightsError."""
    with torch.inference_mode(False):  # whoever asks first: others may want gradients through it
        return weights.load_network("attributes")


class AttributeMethod(Method):
    """A method whose model is given attributes: its controls are `sliders`."""

    sliders: AttributeSliders

    @property
    def controls(self) -> tuple[Control, ...]:
        return self.sliders.controls

    def relevance(self, mask: Tensor) -> dict[str, float]:
        return self.sliders.relevance(mask)

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        return self.sliders.values(self.seen(image, mask))

    def surprise(self, image: Tensor, mask: Tensor, seed: int) -> dict[str, float]:
        """Some of the sliders that show in the hole moved to either end, the others where they stand."""
        rng, values = np.random.default_rng(seed), self.start_values(image, mask)
        shown = [name for name, rank in self.relevance(mask).items() if rank >= 0.0]
        for name in rng.permutation(shown)[:SURPRISES]:
            values[str(name)] = float(rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.0))
        return values

    def seen(self, image: Tensor, mask: Tensor) -> Tensor:
        """y (1, A) that the face network sees in a first fill."""
        return self._seen(image, mask)

    @cached_property
    def _seen(self) -> Recent[Tensor]:
        return Recent(lambda image, mask: self.sliders.seen(self.first_fill(image, mask)))

    @abstractmethod
    def first_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        """A fill (1, 3, H, W) without chance, of which no attribute is known."""


@dataclass(frozen=True)
class Slider:
    """attribute: its index in y; sign: 1 or -1, the way that the label means; place: (64, 64), true where it shows."""

    control: Control
    attribute: int
    sign: int
    place: np.ndarray


class AttributeSliders:
    """The sliders of a model that knows these attributes, as its latents.json, if it has one, says what they do."""

    def __init__(self, model: str, names: Sequence[str], everything: bool = False, reach: float = 1.0):
        """Sliders for these attributes, as far as they were measured to show.

        everything: also what was measured not to show; reach: the y at a slider's ends, larger than what the model
        has learned where it obeys too little."""
        self.names, self.reach = tuple(names), reach
        measured = load_measured(model)
        found = {entry["attribute"]: entry for entry in measured["attributes"]} if measured else {}
        known = [name for name in SLIDERS if name in self.names]
        offered = [name for name in known if everything or measured is None or name in found]
        self.sliders = {}
        for attribute in offered:
            label, region, sign = SLIDERS[attribute]
            evidence = found.get(attribute, {}).get("evidence", "From surely not to surely.")
            control = Control(label.replace(" ", "_").replace("-", "_"), label, -1.0, 1.0, None, evidence, kind=KIND)
            self.sliders[control.name] = Slider(control, self.names.index(attribute), sign, PLACES[region])
        odds = measured["odds"] if measured else {}
        self.odds = torch.tensor([float(odds.get(name, 0.0)) for name in self.names])
        self.columns = [face_network().config.names.index(name) for name in self.names]

    @property
    def controls(self) -> tuple[Control, ...]:
        return tuple(slider.control for slider in self.sliders.values())

    def seen(self, pictures: Tensor) -> Tensor:
        """y (n, A) that the face network sees in pictures (n, 3, 64, 64): 2 p - 1, p calibrated."""
        with torch.inference_mode():
            logits = face_network().to(pictures.device)(pictures)[:, self.columns].cpu()
        return 2.0 * torch.sigmoid(logits + self.odds) - 1.0

    def held(self, controls: Mapping[str, float]) -> tuple[Tensor, Tensor]:
        """y and which of it is known, (1, A) each, of what a visitor has set."""
        y, known = torch.zeros(1, len(self.names)), torch.zeros(1, len(self.names))
        for name, value in controls.items():
            slider = self.sliders[name]
            y[0, slider.attribute], known[0, slider.attribute] = self.reach * slider.sign * value, 1.0
        return y, known

    def values(self, y: Tensor) -> dict[str, float]:
        """Where the sliders stand for y (1, A)."""
        return {name: slider.sign * float(y[0, slider.attribute]) / self.reach for name, slider in self.sliders.items()}

    def relevance(self, mask: Tensor) -> dict[str, float]:
        """Ranks for a hole, mask: (1, 1, 64, 64): what shows in a small area comes first; below 0 what does not
        show."""
        hole = mask[0, 0].numpy() < 0.5
        count = len(self.sliders)
        ranks = {}
        for order, (name, slider) in enumerate(self.sliders.items()):
            first = count if local(slider.place) else 0
            ranks[name] = first + count - order if shows(slider.place, hole) else UNSEEN
        return ranks


def load_measured(model: str) -> dict[str, Any] | None:
    """latents.json of a model, or None. It has what its sliders do ("attributes") and the log odds of attributes among
    faces ("odds"); None where there is none or it was measured on other weights."""
    measured = weights.load_json(model, "latents.json")
    return measured if measured and measured.get("weights") == weights.fingerprint(model) else None

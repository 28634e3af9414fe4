"""CSI's controls as its latents.json declares them: named latents, and the others with the names found for
them."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import masks, weights
from ..base import Control
from .places import PLACES, REGIONS, shows

GRID = 16  # cells of an effect map, each way
LIMIT = 3.0  # of a latent's value; the prior's standard deviation is 1
FAR = 2.6  # as far as training moved a named latent
HERE = 0.6  # of a latent's mean effect that a hole must show of it
FIRST, HIDDEN = 1000.0, -1.0  # ranks of named latents, and of what is not offered
PLAIN = "In standard deviations of its prior."
# What several controls show together: how far each goes, as a share of its way to its end, below 0 to the low one.
PRESETS: Mapping[str, Mapping[str, float]] = {
    "Big smile": {"smile": 1.0, "open_mouth": 0.4},
    "Glasses": {"glasses": 1.0},
    "Beard": {"beard": 1.0, "moustache": 0.7},
    "Younger": {"young": 1.0, "bags_under_eyes": -0.8},
    "Surprised": {"open_mouth": 1.0, "smile": -0.3, "narrow_eyes": -1.0},
    "Made up": {"make_up": 1.0, "lipstick": 1.0},
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Named:
    """A latent with a name. sign: 1 or -1, which way it goes for more of what it is named after. place: (64, 64), true
    where it is to be seen. along: (named,), how far every named latent goes for a unit of this one, itself 1: what
    makes up for what it would drag along."""

    latent: int
    sign: float
    place: np.ndarray
    along: np.ndarray


def aims(z: Tensor, chosen: Sequence[tuple[Named, float]]) -> Tensor:
    """What all named latents, the first of z (n, z), are to be once some are set to values of their controls: (n,
    named). Those that are not set stay where they are, but for what goes along."""
    own = z[:, : len(chosen[0][0].along)]
    moved = own.clone()
    for known, value in chosen:
        lack = known.sign * value - z[:, known.latent]
        moved += lack[:, None] * torch.from_numpy(known.along)
    most = own.abs().clamp(min=FAR)
    moved = torch.minimum(torch.maximum(moved, -most), most)
    for known, value in chosen:
        moved[:, known.latent] = known.sign * value
    return moved


@dataclass(frozen=True)
class LatentControls:
    """controls: named latents, then the others, strongest first. maps: control -> (GRID, GRID), mean absolute change of
    a pixel (of a range of 2) in each cell of the frame, from low to high."""

    controls: tuple[Control, ...]
    named: Mapping[str, Named]
    maps: Mapping[str, np.ndarray]

    def relevance(self, hole: np.ndarray) -> dict[str, float]:
        """What controls are ordered by for a hole (64, 64), true = hole; below 0 for those that are not to be offered.

        Named latents come first, in the order of their declaration, those that are not seen in the hole not at all;
        then the others by the mean change of a hole pixel, unless they act elsewhere more than here. What was not
        measured is left out.
        """
        side = hole.shape[0] // GRID
        share = hole.reshape(GRID, side, GRID, side).mean((1, 3))
        ranks = {}
        for name, cells in self.maps.items():
            here = float((cells * share).sum() / share.sum())
            ranks[name] = here if here > HERE * cells[cells > 0].mean() else HIDDEN
        for order, (name, known) in enumerate(self.named.items()):
            ranks[name] = FIRST - order if shows(known.place, hole) else HIDDEN
            ranks[f"z{known.latent}"] = HIDDEN  # the same by another name
        return ranks

    def presets(self, hole: np.ndarray) -> dict[str, dict[str, float]]:
        """Label -> values of controls, of those of `PRESETS` that a hole (64, 64), true = hole, shows anything of."""
        ranges = {
            one.name: one for one in self.controls if one.name in self.named and shows(self.named[one.name].place, hole)
        }
        found = {}
        for label, shares in PRESETS.items():
            ends = [(ranges[name], share) for name, share in shares.items() if name in ranges]
            found[label] = {one.name: share * (one.maximum if share > 0.0 else -one.minimum) for one, share in ends}
        return {label: values for label, values in found.items() if values}


def load_measured() -> dict[str, Any] | None:
    """latents.json of CSI; None where there is none or it was measured on other weights than those in use."""
    measured = weights.load_json("csi", "latents.json")
    if measured is None or measured.get("weights") == weights.fingerprint("csi"):
        return measured
    _log.warning("latents.json was measured on other weights of csi: run `python -m csi_demo discover` again")
    return None


def from_measured(measured: Mapping[str, Any] | None, latent_dim: int) -> LatentControls:
    """The controls of a model with so many latents, from its latents.json; None: nothing was measured."""
    measured = measured or {"latents": [], "named": []}
    known = [f"z{entry['index']}" for entry in measured["latents"]]
    controls = [
        Control(
            entry["name"], entry["label"], entry["low"], entry["high"], None, entry["evidence"], kind="named latent"
        )
        for entry in measured["named"]
    ]
    controls += [
        Control(name, name, -LIMIT, LIMIT, None, entry["evidence"], kind="latent")
        for name, entry in zip(known, measured["latents"], strict=True)
    ]
    unknown = [name for name in (f"z{index}" for index in range(latent_dim)) if name not in known]
    controls += [Control(name, name, -LIMIT, LIMIT, None, PLAIN, kind="latent") for name in unknown]
    named = {
        entry["name"]: Named(
            entry["latent"], entry["sign"], _place(entry["hole"]), np.array(entry["along"], np.float32)
        )
        for entry in measured["named"]
    }
    entries = zip((*known, *named), (*measured["latents"], *measured["named"]), strict=True)
    return LatentControls(tuple(controls), named, {name: unpack_map(entry) for name, entry in entries})


def _place(hole: str) -> np.ndarray:
    """Where what was measured in this hole is to be seen."""
    known = {",".join(map(str, box)): PLACES[region] for region, box in REGIONS.items()}
    return known.get(hole, ~masks.family(hole))


def pack_map(cells: np.ndarray) -> dict[str, Any]:
    """An effect map (GRID, GRID) as latents.json has it: bytes in base64, and what 255 of them stands for."""
    peak = float(cells.max()) or 1.0
    levels = (cells / peak * 255.0).round().astype(np.uint8)
    return {"map": base64.b64encode(levels.tobytes()).decode(), "map_peak": round(peak, 5)}


def unpack_map(entry: Mapping[str, Any]) -> np.ndarray:
    """The effect map (GRID, GRID) of a latent's entry; see `pack_map`."""
    levels = np.frombuffer(base64.b64decode(entry["map"]), np.uint8).reshape(GRID, GRID)
    return levels * (entry["map_peak"] / 255.0)

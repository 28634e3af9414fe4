"""CSI's controls as its latents.json declares them: raw latents with the names found for them, and directions."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import masks, weights
from ..base import Control

GRID = 16  # cells of an effect map, each way
LIMIT = 3.0  # of a latent's value; the prior's standard deviation is 1
GOOD_PART = 0.3
PLAIN = "In standard deviations of its prior."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LatentControls:
    """controls: latents, strongest first, then directions. directions: name -> (z,), one unit of it. maps: name ->
    (GRID, GRID), mean absolute change of a pixel (of a range of 2) in each cell of the frame, from low to high. homes:
    direction -> (64, 64), true where the hole is that it was found for."""

    controls: tuple[Control, ...]
    directions: Mapping[str, np.ndarray]
    maps: Mapping[str, np.ndarray]
    homes: Mapping[str, np.ndarray]

    def relevance(self, hole: np.ndarray) -> dict[str, float]:
        """What controls are ordered by for a hole (64, 64), true = hole: the mean change per hole pixel, of 2.

        A direction counts with the share of its own hole that is hidden here, since a hat does little for a mouth; one
        whose own hole is hidden for a good part comes before all latents. What was not measured is left out.
        """
        side = hole.shape[0] // GRID
        share = hole.reshape(GRID, side, GRID, side).mean((1, 3))
        ranks = {name: float((cells * share).sum() / share.sum()) for name, cells in self.maps.items()}
        for name, home in self.homes.items():
            hidden = float(hole[home].mean())
            ranks[name] = ranks[name] * hidden + (hidden > GOOD_PART)
        return ranks


def load_measured() -> dict[str, Any] | None:
    """latents.json of CSI; None where there is none or it was measured on other weights than those in use."""
    measured = weights.load_json("csi", "latents.json")
    if measured is None or measured.get("weights") == weights.fingerprint("csi"):
        return measured
    _log.warning("latents.json was measured on other weights of csi: run `python -m csi_demo discover` again")
    return None


def from_measured(measured: Mapping[str, Any] | None, latent_dim: int) -> LatentControls:
    """The controls of a model with so many latents, from its latents.json; None: nothing was measured."""
    measured = measured or {"latents": [], "directions": []}
    known = [f"z{entry['index']}" for entry in measured["latents"]]
    controls = [
        Control(name, f"{entry['name']} ({name})", -LIMIT, LIMIT, None, entry["evidence"], kind="latent")
        for name, entry in zip(known, measured["latents"], strict=True)
    ]
    unknown = [name for name in (f"z{index}" for index in range(latent_dim)) if name not in known]
    controls += [Control(name, name, -LIMIT, LIMIT, None, PLAIN, kind="latent") for name in unknown]
    controls += [
        Control(
            entry["name"],
            f"{entry['label']} (direction)",
            -entry["range"],
            entry["range"],
            0.0,
            entry["evidence"],
            kind="direction",
        )
        for entry in measured["directions"]
    ]
    directions = {entry["name"]: np.array(entry["vector"], np.float32) for entry in measured["directions"]}
    entries = [*zip(known, measured["latents"], strict=True), *((one["name"], one) for one in measured["directions"])]
    homes = {entry["name"]: ~masks.family(entry["hole"]) for entry in measured["directions"]}
    return LatentControls(tuple(controls), directions, {name: unpack_map(entry) for name, entry in entries}, homes)


def pack_map(cells: np.ndarray) -> dict[str, Any]:
    """An effect map (GRID, GRID) as latents.json has it: bytes in base64, and what 255 of them stands for."""
    peak = float(cells.max()) or 1.0
    levels = (cells / peak * 255.0).round().astype(np.uint8)
    return {"map": base64.b64encode(levels.tobytes()).decode(), "map_peak": round(peak, 5)}


def unpack_map(entry: Mapping[str, Any]) -> np.ndarray:
    """The effect map (GRID, GRID) of a latent's or direction's entry; see `pack_map`."""
    levels = np.frombuffer(base64.b64decode(entry["map"]), np.uint8).reshape(GRID, GRID)
    return levels * (entry["map_peak"] / 255.0)

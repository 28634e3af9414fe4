"""DCGAN's fast search for z against the faithful one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ... import masks
from ...data import read_pack
from ...methods import load_method
from ...pixels import masks_to_tensor, to_float

DESCENTS: dict[str, dict[str, float]] = {
    "fast": {},
    "faithful": {"steps": 1000, "learned_start": 0, "optimiser": 2, "early_stop": 0},
}


def evaluate_descent(
    data: str | Path, mask_name: str = "center", *, limit: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """DCGAN's fast search for z against the faithful one: final loss and seconds, mean over faces, one sample each.

    The searches are those of `DESCENTS`; loss_ratio and time_ratio: the fast one's mean over the faithful one's;
    no_higher: the share of faces on which the fast one ends no higher.
    """
    method = load_method("dcgan")
    frames = to_float(read_pack(data, limit))
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    losses: dict[str, list[float]] = {name: [] for name in DESCENTS}
    seconds: dict[str, list[float]] = {name: [] for name in DESCENTS}
    for index, image in enumerate(frames.split(1)):
        mask = masks_to_tensor([draw(rng)])
        for name, options in DESCENTS.items():
            *_, last = method.complete(image, mask, (seed + index,), options=options)
            losses[name].append(last.info["figures"][0]["loss"])
            seconds[name].append(last.info["seconds"])
    figures: dict[str, Any] = {"n": len(frames), "searches": {name: dict(DESCENTS[name]) for name in DESCENTS}}
    for name in DESCENTS:
        figures[name] = {
            "loss": round(float(np.mean(losses[name])), 3),
            "seconds": round(float(np.mean(seconds[name])), 3),
        }
    fast, faithful = "fast", "faithful"
    figures["loss_ratio"] = round(float(np.mean(losses[fast]) / np.mean(losses[faithful])), 4)
    figures["time_ratio"] = round(float(np.mean(seconds[fast]) / np.mean(seconds[faithful])), 4)
    figures["no_higher"] = round(float(np.mean(np.array(losses[fast]) <= np.array(losses[faithful]))), 3)
    return figures

"""Discovering what CSI's latents mean, and measuring those that have a name: all that latents.json holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .... import masks, weights
from ....methods.csi import CSIMethod
from ....pixels import masks_to_tensor
from . import latents
from .latents import EVERYWHERE, EXTREME, VALUES, effects, main_region, spread_outwards, traverse
from .measures import Measures
from .named import measure_named
from .naming import UNUSED, describe, figures, name_effect, unique, usual_change

FEWER = 8  # faces on which the order of a latent's five values is measured, at most
LEARNING_FACES = 1000  # of which the measures' spread is taken, at most


def discover(method: CSIMethod, frames: Tensor, limit: int) -> dict[str, Any]:
    """What latents.json holds, but for the command, measured by filling holes in the first `limit` faces.

    frames: (N, 3, 64, 64) in [-1, 1]; limit > 1. Free latents come strongest first, named ones in their own
    order.
    """
    measures = Measures.learn(frames[:LEARNING_FACES])
    faces = frames[:limit]
    found = _latents(method, faces, measures)
    named = measure_named(method, faces, measures)
    return {
        "weights": weights.fingerprint("csi"),
        "faces": len(faces),
        "hole": ",".join(str(edge) for edge in latents.HOLE),
        "extreme": EXTREME,
        "threshold": latents.ACTIVE,
        "active": sum(entry["name"] != UNUSED for entry in found),
        "measures": measures.names,
        "latents": found,
        "named": named,
    }


def _latents(method: CSIMethod, faces: Tensor, measures: Measures) -> list[dict[str, Any]]:
    mask = masks_to_tensor([masks.box(*latents.HOLE)])
    free = range(len(method.config.named), method.config.latent_dim)
    every = range(len(free))

    orders: list[Tensor] = []

    def draw(image: Tensor, number: int) -> Tensor:
        images = traverse(method, image, mask, free, VALUES if number < FEWER else (VALUES[0], VALUES[-1]), number)
        if number < FEWER:
            orders.append(latents.monotonic(images))
        return images[:, [0, -1]]

    measured = effects(draw, faces, mask, measures, "latents")
    ordered = torch.stack(orders).mean(0)
    maps = spread_outwards(measured.maps)
    typical = (maps / maps.mean((1, 2), keepdims=True)).mean(0)
    regions = [main_region(cells, typical) for cells in maps]
    usual = usual_change(measured.change, measures.spread)
    names = [
        name_effect(
            measures.names,
            measured.change[index],
            measured.error[index],
            measures.spread,
            measures.correlation,
            measured.strength[index],
            regions[index],
            usual,
        )
        for index in every
    ]
    order = np.argsort(-measured.strength).tolist()
    titles = unique([names[index].name for index in order])
    return [
        {
            "index": free[index],
            "name": title,
            "evidence": describe(measures, names[index], measured, index, (-EXTREME, EXTREME), _where(regions[index])),
            "region": regions[index],
            "monotonic": round(float(ordered[index]), 3),
        }
        | figures(measured, index, maps[index])
        for index, title in zip(order, titles, strict=True)
    ]


def _where(region: str) -> str:
    return "acts all over the frame" if region == EVERYWHERE else f"stands out in the region: {region}"

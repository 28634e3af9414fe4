"""Discovering what CSI's latents mean, and directions that mean something: all that latents.json holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import masks, weights
from ...methods.csi import CSIMethod
from ...methods.csi.controls import pack_map
from ...pixels import masks_to_tensor
from . import latents
from .directions import HOLES, PLACES, REACH, WHOLE, Direction, measure_response, plan
from .latents import (
    EVERYWHERE,
    EXTREME,
    VALUES,
    Effects,
    effects,
    main_region,
    spread_outwards,
    traverse,
    traverse_directions,
)
from .measures import WORDS, Measures
from .naming import SURE, UNUSED, Found, evidence, machine_name, name_effect, unique, usual_change

FEWER = 32  # faces on which the order of a latent's five values is measured, at most
DRAWS = 8  # random moves of all latents, for every face and hole
LEARNING_FACES = 1000  # of which the measures' spread and the latents' spread are taken, at most


def discover(method: CSIMethod, frames: Tensor, limit: int) -> dict[str, Any]:
    """What latents.json holds, but for the command, measured by filling holes in the first `limit` faces.

    frames: (N, 3, 64, 64) in [-1, 1]; limit > 1. Latents come strongest first, directions as they were planned.
    """
    measures = Measures.learn(frames[:LEARNING_FACES])
    faces = frames[:limit]
    found = _latents(method, faces, measures)
    directions = _directions(method, faces, measures, _scatter(method, frames[:LEARNING_FACES]))
    return {
        "weights": weights.fingerprint("csi"),
        "faces": len(faces),
        "hole": _words(latents.HOLE),
        "extreme": EXTREME,
        "threshold": latents.ACTIVE,
        "active": sum(entry["name"] != UNUSED for entry in found),
        "measures": measures.names,
        "latents": found,
        "directions": directions,
    }


def _latents(method: CSIMethod, faces: Tensor, measures: Measures) -> list[dict[str, Any]]:
    mask = masks_to_tensor([masks.box(*latents.HOLE)])
    every = range(method.config.latent_dim)

    orders: list[Tensor] = []

    def draw(image: Tensor, number: int) -> Tensor:
        images = traverse(method, image, mask, every, VALUES if number < FEWER else (VALUES[0], VALUES[-1]), number)
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
            "index": index,
            "name": title,
            "evidence": _evidence(measures, names[index], measured, index, EXTREME, _where(regions[index])),
            "region": regions[index],
            "monotonic": round(float(ordered[index]), 3),
        }
        | _figures(measured, index, maps[index])
        for index, title in zip(order, titles, strict=True)
    ]


def _directions(method: CSIMethod, faces: Tensor, measures: Measures, scatter: np.ndarray) -> list[dict[str, Any]]:
    holes = {name: masks_to_tensor([masks.box(*edges)]) for name, edges in HOLES.items()}
    responses = {name: measure_response(method, faces, mask, DRAWS, name) for name, mask in holes.items()}
    attributes = measures.names[: responses["head"].base.shape[1]]
    entries = []
    for planned in plan(responses, {index: PLACES.get(name, WHOLE) for index, name in enumerate(attributes)}):
        entry = _direction(method, faces, measures, planned, scatter, holes[planned.hole])
        if entry is not None:
            entries.append(entry)
    return entries


def _direction(
    method: CSIMethod,
    faces: Tensor,
    measures: Measures,
    planned: Direction,
    scatter: np.ndarray,
    mask: Tensor,
) -> dict[str, Any] | None:
    """A planned direction's entry, measured in its own hole; None where it does not hold."""
    more, less = WORDS[measures.names[planned.attribute]]
    sign = -1 if more.startswith("less ") else 1  # named after what one can see more of
    label = less if sign < 0 else more
    unit = sign * planned.vector * np.sqrt(planned.vector @ scatter @ planned.vector)
    along = torch.from_numpy(unit).float()[None]

    def draw(image: Tensor, number: int) -> Tensor:
        return traverse_directions(method, image, mask, along, (-REACH, REACH), number)

    measured = effects(draw, faces, mask, measures, label)
    if sign * measured.change[0, planned.attribute] <= SURE * measured.error[0, planned.attribute]:
        return None
    found = Found(label, (planned.attribute,))
    return {
        "name": machine_name(label),
        "label": label,
        "evidence": _evidence(measures, found, measured, 0, REACH, f"the region hidden: {planned.hole}"),
        "attribute": measures.names[planned.attribute],
        "sign": sign,
        "region": planned.hole,
        "hole": _words(HOLES[planned.hole]),
        "range": REACH,
        "foreseen": {"wanted": round(planned.wanted, 3), "unwanted": round(planned.unwanted, 3)},
        "vector": [round(float(value), 5) for value in unit],
    } | _figures(measured, 0, measured.maps[0])


def _evidence(measures: Measures, found: Found, measured: Effects, index: int, end: float, where: str) -> str:
    change, error = measured.change[index], measured.error[index]
    how = f"from {-end:g} to {end:g}; {where}"
    return evidence(measures.names, found, change, error, how, measured.strength[index])


def _where(region: str) -> str:
    return "acts all over the frame" if region == EVERYWHERE else f"stands out in the region: {region}"


def _figures(measured: Effects, index: int, cells: np.ndarray) -> dict[str, Any]:
    """A control's figures and its map (GRID, GRID), in a form for JSON."""
    return {
        "strength": round(float(measured.strength[index]), 4),
        "change": [round(float(value), 4) for value in measured.change[index]],
        "error": [round(float(value), 4) for value in measured.error[index]],
    } | pack_map(cells)


@torch.inference_mode()
def _scatter(method: CSIMethod, frames: Tensor) -> np.ndarray:
    """Covariance (z, z) of the latents of whole faces, what is uncertain about each included."""
    parts = [method.model.encode(part, torch.ones_like(part[:, :1]), part) for part in frames.split(100)]
    mean = torch.cat([posterior.mean for posterior in parts]).double()
    variance = torch.cat([posterior.sigma for posterior in parts]).double().square()
    return (mean.T.cov() + torch.diag(variance.mean(0))).numpy()


def _words(edges: tuple[int, int, int, int]) -> str:
    """A box as `masks.family` takes it."""
    return ",".join(str(edge) for edge in edges)

"""What CSI's named latents do, and what has to move with each so that it moves its own attribute alone.

A named latent was trained to move one attribute, but attributes that go together in faces still go together a little:
lipstick brings femininity. How all attributes answer to all named latents is measured on the model's own fills, which
have them moved at random at once; each latent then takes along a little of the others, as much as undoes that best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from ... import masks
from ...methods.csi import CSIMethod
from ...methods.csi.places import REGIONS, SHOWN, TURN
from ...pixels import masks_to_tensor
from .latents import effects, traverse_directions
from .measures import WORDS, Measures
from .naming import Found, describe, figures, machine_name

REACH = 2.0  # from the middle of a slider to either end
DRAWS = 6  # random moves of all named latents, for every face and region
RIDGES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)  # from strict about the others to lenient
SHRINKAGE = 10.0  # of the regression, in fills
MOST = 0.7  # that another latent may move for a unit of a named one
PENALTY = 2.0  # what a unit of the unwanted costs, against one of the wanted
UNSEEN: frozenset[str] = frozenset()  # attributes whose latents did not show what they are called when looked at


@dataclass(frozen=True)
class Response:
    """slopes: (n, A), how attributes' logits answer to the n named latents; base: (N, A), logits of N faces."""

    slopes: np.ndarray
    base: np.ndarray

    def moved(self, vector: np.ndarray) -> np.ndarray:
        """Change of every attribute's mean probability from one end of a vector (n,) to the other: (A,)."""
        step = REACH * (vector @ self.slopes)
        return (_sigmoid(self.base + step) - _sigmoid(self.base - step)).mean(0)


def measure_named(method: CSIMethod, faces: Tensor, measures: Measures) -> list[dict[str, Any]]:
    """The entries of latents.json, in the order of the model's config; faces: (N, 3, 64, 64), N > 1."""
    offered = [name for name in method.config.named if name not in UNSEEN]
    kept = [measures.names.index(name) for name in offered if name != TURN]
    responses: dict[str, Response] = {}
    entries = []
    for attribute in offered:
        latent, region = method.config.named.index(attribute), SHOWN[attribute][0]
        mask = masks_to_tensor([masks.box(*REGIONS[region])])
        if region not in responses:
            responses[region] = measure_response(method, faces, mask, measures, region)
        sign = -1.0 if WORDS[attribute][0].startswith("less ") else 1.0  # named after what one can see more of
        vector = np.zeros(method.config.latent_dim, np.float32)
        vector[: len(method.config.named)] = sign * compensated(
            responses[region], latent, measures.names.index(attribute), kept
        )
        entries.append(_entry(method, faces, measures, attribute, latent, sign, region, vector, mask))
    return entries


def measure_response(method: CSIMethod, faces: Tensor, mask: Tensor, measures: Measures, what: str) -> Response:
    """Fills the hole (1, 1, H, W) of each face (N, 3, H, W) with the named latents drawn around the posterior mean, and
    regresses the measures on the moves. what: said on the progress bar."""
    generator, count = torch.Generator().manual_seed(0), len(method.config.named)
    moves, found = [], []
    for number, image in enumerate(tqdm(faces.split(1), desc=what, disable=None)):
        mean, _ = method.infer(image, mask)
        move = torch.zeros(DRAWS, mean.shape[1])
        move[:, :count] = torch.randn((DRAWS, count), generator=generator)
        *_, (images, _, _) = method.fill(image, mask, mean + move, (number,) * DRAWS)
        found.append(measures.of(images, mask[0, 0] < 0.5).double().numpy())
        moves.append(move[:, :count].double().numpy())
    return Response(*regress(np.stack(moves), np.stack(found)))


def regress(moves: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression of values (N, draws, A) on moves (N, draws, n), each face with a level of its own: slopes (n, A)
    and the faces' mean values (N, A)."""
    x = (moves - moves.mean(1, keepdims=True)).reshape(-1, moves.shape[2])
    y = (values - values.mean(1, keepdims=True)).reshape(-1, values.shape[2])
    return np.linalg.solve(x.T @ x + SHRINKAGE * np.eye(x.shape[1]), x.T @ y), values.mean(1)


def compensated(response: Response, latent: int, attribute: int, others: Sequence[int]) -> np.ndarray:
    """The vector (n,), 1 at the latent, that moves an attribute and least of the others (indices among the measures).

    It minimises the sum of the squared changes of the others' probabilities, (S_o^T v)^2, plus a ridge on what goes
    along; of several ridges the one whose foreseen changes are best.
    """
    rest = [index for index in range(len(response.slopes)) if index != latent]
    likely = _sigmoid(response.base)
    steepness = (likely * (1.0 - likely)).mean(0) + 0.03  # what is far from showing may yet come near
    others = [index for index in others if index != attribute]
    slopes = (response.slopes * steepness)[:, others]
    best, most = np.zeros(0), -np.inf
    for ridge in RIDGES:
        along = np.linalg.solve(
            slopes[rest] @ slopes[rest].T + ridge * np.eye(len(rest)), slopes[rest] @ slopes[latent]
        )
        vector = np.zeros(len(response.slopes))
        vector[rest], vector[latent] = np.clip(-along, -MOST, MOST), 1.0
        moved = response.moved(vector)
        merit = abs(moved[attribute]) - PENALTY * np.abs(moved[others]).max(initial=0.0)
        if merit > most:
            best, most = vector, merit
    return best


def _entry(
    method: CSIMethod,
    faces: Tensor,
    measures: Measures,
    attribute: str,
    latent: int,
    sign: float,
    region: str,
    vector: np.ndarray,
    mask: Tensor,
) -> dict[str, Any]:
    label = WORDS[attribute][0 if sign > 0 else 1]

    def draw(image: Tensor, number: int) -> Tensor:
        mean, _ = method.infer(image, mask)
        own = sign * float(mean[0, latent])
        along = torch.from_numpy(vector)[None]
        return traverse_directions(method, image, mask, along, (-REACH - own, REACH - own), number)

    measured = effects(draw, faces, mask, measures, label)
    found = Found(label, (measures.names.index(attribute),))
    return {
        "name": machine_name(label),
        "label": label,
        "evidence": describe(measures, found, measured, 0, REACH, f"the region hidden: {region}"),
        "attribute": attribute,
        "latent": latent,
        "sign": sign,
        "region": region,
        "hole": ",".join(str(edge) for edge in REGIONS[region]),
        "range": REACH,
        "vector": [round(float(value), 4) for value in vector],
    } | figures(measured, 0, measured.maps[0])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-x))

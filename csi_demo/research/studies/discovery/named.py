"""What CSI's named latents do: each moved from one end of its slider to the other.

A named latent was trained to move one attribute, but those that go together in faces still go together a little: a
smile opens the mouth. How all of them answer to all named latents is measured on the model's own fills, with these
moved at random at once; where one drags others along further than is allowed, it takes along what undoes that. A slider
ends where the critic that the decoder was trained against begins to tell its fills from faces.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .... import masks, weights
from ....methods.base import keep_observed
from ....methods.csi import CSIMethod
from ....methods.csi.controls import Named, aims
from ....methods.csi.places import REGIONS, SHOWN, TURN
from ....models.critic import MaskedCritic
from ....pixels import masks_to_tensor
from .latents import PAPER_TRUNCATION, effects
from .measures import WORDS, Measures
from .naming import Found, describe, figures, machine_name
from .response import Response, compensated, regress

REACH, LEAST = 2.0, 0.8  # from the middle of a slider to either end, at most and at least
STEPS = (0.5, 1.0, 1.5, 2.0)  # at which the critic is asked
WORSE = 0.16  # that its mean logit may fall below the one in the middle
DRAWS = 8  # random moves of all named latents, for every face and region
ALLOWED = 0.3  # change of another attribute's mean probability over the whole slider
CRITIC = "critics/masked_critic"
UNSEEN: frozenset[str] = frozenset()  # attributes whose latents did not show what they are called when looked at


def measure_named(method: CSIMethod, faces: Tensor, measures: Measures) -> list[dict[str, Any]]:
    """The entries of latents.json, in the order of the model's config; faces: (N, 3, 64, 64), N > 1."""
    offered = [name for name in method.config.named if name not in UNSEEN]
    regions = dict.fromkeys(SHOWN[attribute][0] for attribute in offered)
    responses = {region: measure_response(method, faces, measures, region) for region in regions}
    rivals = [measures.names.index(name) for name in offered if name != TURN]
    entries = []
    for attribute in offered:
        response, latent = responses[SHOWN[attribute][0]], method.config.named.index(attribute)
        along = compensated(response, latent, measures.names.index(attribute), rivals, ALLOWED)
        entries.append(_entry(method, faces, measures, attribute, along))
    return entries


def measure_response(method: CSIMethod, faces: Tensor, measures: Measures, region: str) -> Response:
    """How measures of a region's fills answer to the named latents. These move at random around each face's posterior
    mean; faces: (N, 3, 64, 64)."""
    mask, count = masks_to_tensor([masks.box(*REGIONS[region])]), len(method.config.named)
    generator, moves, found = torch.Generator().manual_seed(0), [], []
    for number, image in enumerate(tqdm(faces.split(1), desc=region, disable=None)):
        move = torch.randn((DRAWS, count), generator=generator)
        z = method.draw(image, mask, (0,), 0.0).repeat(DRAWS, 1)
        z[:, :count] += move
        *_, (images, _, _) = method.fill(image, mask, z, (number,) * DRAWS, PAPER_TRUNCATION)
        found.append(measures.of(images, mask[0, 0] < 0.5).double().numpy())
        moves.append(move.double().numpy())
    return Response(*regress(np.stack(moves), np.stack(found)))


def _entry(method: CSIMethod, faces: Tensor, measures: Measures, attribute: str, along: np.ndarray) -> dict[str, Any]:
    latent, region = method.config.named.index(attribute), SHOWN[attribute][0]
    hole = masks.box(*REGIONS[region])
    mask = masks_to_tensor([hole])
    sign = -1.0 if WORDS[attribute][0].startswith("less ") else 1.0  # named after what one can see more of
    label = WORDS[attribute][0 if sign > 0 else 1]
    known = Named(latent, sign, ~hole, along.round(3).astype(np.float32))

    ends = slider_ends(method, faces, mask, known)

    def draw(image: Tensor, number: int) -> Tensor:
        z = _at(method, image, mask, known, ends)
        *_, (images, _, _) = method.fill(image, mask, z, (number, number), PAPER_TRUNCATION)
        return images[None]

    measured = effects(draw, faces, mask, measures, label)
    found = Found(label, (measures.names.index(attribute),))
    return {
        "name": machine_name(label),
        "label": label,
        "evidence": describe(measures, found, measured, 0, ends, f"the region hidden: {region}"),
        "attribute": attribute,
        "latent": latent,
        "sign": sign,
        "along": known.along.round(3).tolist(),
        "region": region,
        "hole": ",".join(str(edge) for edge in REGIONS[region]),
        "low": ends[0],
        "high": ends[1],
    } | figures(measured, 0, measured.maps[0])


def slider_ends(method: CSIMethod, faces: Tensor, mask: Tensor, known: Named) -> tuple[float, float]:
    """How far a slider goes either way until the critic's mean logit of the decoder's pictures has fallen by `WORSE`.

    faces: (N, 3, 64, 64); mask: (1, 1, 64, 64). Where the weights have no critic: to `REACH`.
    """
    if not weights.available(CRITIC):
        return -REACH, REACH
    critic, values = _critic(), (*(-step for step in reversed(STEPS)), 0.0, *STEPS)
    logits = torch.zeros(len(values))
    for image in faces.split(1):
        maps = method.paper.decode(_at(method, image, mask, known, values), method.observe(image, mask))
        assert maps is not None
        with torch.inference_mode():
            pasted = keep_observed(image, mask, method.model.picture(maps).clamp(-1.0, 1.0))
            logits += critic(pasted, mask.expand(len(values), -1, -1, -1))[0] / len(faces)
    middle = len(STEPS)
    fallen = (logits[middle] - logits).tolist()
    low, high = (reached(fallen[middle::way]) for way in (-1, 1))
    return -low, high


def _at(method: CSIMethod, image: Tensor, mask: Tensor, known: Named, values: Sequence[float]) -> Tensor:
    """Latents (values, z): the posterior's mean with a named latent at each of these values of its slider."""
    middle = method.draw(image, mask, (0,) * len(values), 0.0)
    aimed = torch.cat([aims(middle[:1], [(known, value)]) for value in values])
    return method.moved(image, mask, middle, (0,) * len(values), 0.0, aimed, [known.latent])


def reached(fallen: Sequence[float]) -> float:
    """Where what has fallen at 0 and at each of `STEPS` first exceeds `WORSE`, between the steps: to a tenth."""
    stops = (0.0, *STEPS)
    for before, (start, end) in enumerate(pairwise(stops)):
        if fallen[before + 1] > WORSE:
            share = (WORSE - fallen[before]) / (fallen[before + 1] - fallen[before])
            return max(LEAST, round(start + (end - start) * max(share, 0.0), 1))
    return REACH


@cache
def _critic() -> MaskedCritic:
    critic = MaskedCritic()
    critic.load_state_dict(weights.load_state(CRITIC))
    return critic.eval()

"""What CSI's named latents do: each moved from one end of its slider to the other.

A named latent was trained to move one attribute, but those that go together in faces still go together a little: a
smile opens the mouth. How all of them answer to all named latents is measured on the model's own fills, with these
moved at random at once; where one drags others along further than is allowed, it takes along what undoes that.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .... import masks
from ....methods.csi import CSIMethod
from ....methods.csi.controls import Named, aims
from ....methods.csi.places import REGIONS, SHOWN, TURN
from ....pixels import masks_to_tensor
from .latents import PAPER_TRUNCATION, effects
from .measures import WORDS, Measures
from .naming import Found, describe, figures, machine_name
from .response import Response, compensated, regress

REACH = 2.0  # from the middle of a slider to either end
DRAWS = 8  # random moves of all named latents, for every face and region
ALLOWED = 0.3  # change of another attribute's mean probability over the whole slider
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
    """How the measures of fills of a region answer to the named latents, moved at random around the posterior's mean
    for each face (N, 3, 64, 64)."""
    mask, count = masks_to_tensor([masks.box(*REGIONS[region])]), len(method.config.named)
    generator, moves, found = torch.Generator().manual_seed(0), [], []
    for number, image in enumerate(tqdm(faces.split(1), desc=region, disable=None)):
        posterior = method.posterior(image, mask)
        move = torch.randn((DRAWS, count), generator=generator)
        z = posterior.given(posterior.mean.expand(DRAWS, -1), range(count), posterior.mean[:, :count] + move)
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

    def draw(image: Tensor, number: int) -> Tensor:
        posterior = method.posterior(image, mask)
        values = torch.cat([aims(posterior.mean, [(known, end)]) for end in (-REACH, REACH)])
        z = posterior.given(posterior.mean.expand(2, -1), range(len(along)), values)
        *_, (images, _, _) = method.fill(image, mask, z, (number, number), PAPER_TRUNCATION)
        return images[None]

    measured = effects(draw, faces, mask, measures, label)
    found = Found(label, (measures.names.index(attribute),))
    return {
        "name": machine_name(label),
        "label": label,
        "evidence": describe(measures, found, measured, 0, REACH, f"the region hidden: {region}"),
        "attribute": attribute,
        "latent": latent,
        "sign": sign,
        "along": known.along.round(3).tolist(),
        "region": region,
        "hole": ",".join(str(edge) for edge in REGIONS[region]),
        "range": REACH,
    } | figures(measured, 0, measured.maps[0])

"""What CSI's named latents do: each moved from one end of its slider to the other, the rest as it follows from that."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ... import masks
from ...methods.csi import CSIMethod
from ...methods.csi.places import REGIONS, SHOWN
from ...pixels import masks_to_tensor
from .latents import PAPER_TRUNCATION, effects
from .measures import WORDS, Measures
from .naming import Found, describe, figures, machine_name

REACH = 2.0  # from the middle of a slider to either end
UNSEEN: frozenset[str] = frozenset()  # attributes whose latents did not show what they are called when looked at


def measure_named(method: CSIMethod, faces: Tensor, measures: Measures) -> list[dict[str, Any]]:
    """The entries of latents.json, in the order of the model's config; faces: (N, 3, 64, 64), N > 1."""
    offered = [name for name in method.config.named if name not in UNSEEN]
    return [_entry(method, faces, measures, attribute) for attribute in offered]


def _entry(method: CSIMethod, faces: Tensor, measures: Measures, attribute: str) -> dict[str, Any]:
    latent, region = method.config.named.index(attribute), SHOWN[attribute][0]
    mask = masks_to_tensor([masks.box(*REGIONS[region])])
    sign = -1.0 if WORDS[attribute][0].startswith("less ") else 1.0  # named after what one can see more of
    label = WORDS[attribute][0 if sign > 0 else 1]
    ends = sign * torch.tensor([[-REACH], [REACH]])

    def draw(image: Tensor, number: int) -> Tensor:
        posterior = method.posterior(image, mask)
        z = posterior.given(posterior.mean.expand(2, -1), [latent], ends)
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
        "region": region,
        "hole": ",".join(str(edge) for edge in REGIONS[region]),
        "range": REACH,
    } | figures(measured, 0, measured.maps[0])

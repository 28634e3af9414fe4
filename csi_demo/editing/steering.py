"""Named latents of the photo editor: directions that move one thing in a face, measured and named beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..errors import EditError, WeightsError
from ..methods.base import Control
from .network import MODEL

STEP = 0.1  # of a slider


@dataclass(frozen=True)
class Direction:
    """A direction (1, z) and the control that moves along it."""

    control: Control
    vector: Tensor


@cache
def named_latents() -> Mapping[str, Direction]:
    """Those that the weights have, by name, in the order in which they are to be shown. Raises WeightsError."""
    found = weights.load_json(MODEL, "latents.json") or {"named": []}
    if found["named"] and found["weights"] != weights.fingerprint(MODEL):
        raise WeightsError(f"latents.json of {MODEL} was measured on other weights: discover them anew")
    return {entry["name"]: _named(entry) for entry in found["named"]}


def named(name: str) -> Direction:
    """The one of this name. Raises EditError."""
    found = named_latents()
    if name not in found:
        raise EditError(f"unknown latent {name!r:.40}: z0 and so on, or one of {', '.join(found) or 'none'}")
    return found[name]


def _named(entry: Mapping[str, Any]) -> Direction:
    reach = float(entry["range"])
    control = Control(entry["name"], entry["label"], -reach, reach, 0.0, entry["evidence"], STEP, "named")
    return Direction(control, torch.tensor(entry["vector"])[None])

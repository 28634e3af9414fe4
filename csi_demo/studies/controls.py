"""How far CSI's named latents move what they are for, and what they are not for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from .. import masks
from ..data import read_pack
from ..errors import CompletionError
from ..methods.csi import CSIMethod
from ..methods.csi.controls import load_measured
from ..methods.csi.places import TURN
from ..metrics.features import face_network, judge_network
from ..models.attributes import AttributeNet
from ..pixels import masks_to_tensor, to_float
from .discovery.measures import WORDS


def evaluate_controls(data: str | Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """How far each named latent of CSI moves its attribute, and the others', from its low to its high end.

    Every face is filled twice with the control's own region hidden, at both ends, all else equal: the k-th with
    seed + k and the method's default options. Returns n and, for every control and each of two networks (judge: the
    face network that training used, or the one that it did not): wanted (mean change of its attribute's probability,
    the way its name says), right_way (share of faces on which it goes that way), unwanted (the largest mean change of
    another control's attribute, absolute) and unwanted_of (which), elsewhere and elsewhere_of (the same among all
    attributes that no control is for), merit (wanted - unwanted). Raises CompletionError where none is known.
    """
    measured = load_measured()
    entries = [entry for entry in measured["named"] if entry["attribute"] != TURN] if measured else []
    if not entries:
        raise CompletionError("no named latents of csi are known: run `python -m csi_demo discover` first")
    method, frames = CSIMethod(), to_float(read_pack(data, limit))
    labels = {entry["attribute"]: entry["label"] for entry in entries}
    rows = []
    for entry in entries:
        mask = masks_to_tensor([masks.family(entry["hole"])])
        ends = [
            method.ends(image, mask, seed + index, entry["name"])
            for index, image in enumerate(tqdm(frames.split(1), desc=entry["label"], disable=None))
        ]
        low, high = torch.stack(ends, 1)
        for judge, network in (("face network", face_network()), ("judge", judge_network())):
            judged = _judged(network, low, high, entry["attribute"], entry["sign"], labels)
            rows.append({"control": entry["name"], "hole": entry["region"], "judge": judge} | judged)
    return {"n": len(frames), "controls": rows}


def _judged(
    network: AttributeNet, low: Tensor, high: Tensor, attribute: str, sign: float, labels: dict[str, str]
) -> dict[str, Any]:
    """What a network says of pictures (N, 3, 64, 64) at a control's two ends; labels: attribute -> its control's."""
    names = network.config.names
    before, after = (torch.cat([network.probabilities(part) for part in end.split(100)]) for end in (low, high))
    change = (after - before).double()
    own = sign * change[:, names.index(attribute)]
    means = {name: mean for name, mean in zip(names, change.mean(0).abs().tolist(), strict=True) if name != attribute}
    unwanted_of = max((name for name in means if name in labels), key=means.__getitem__, default=None)
    elsewhere_of = max((name for name in means if name not in labels), key=means.__getitem__)
    wanted, unwanted = float(own.mean()), means.get(unwanted_of or "", 0.0)
    return {
        "wanted": round(wanted, 3),
        "right_way": round(float((own > 0).double().mean()), 3),
        "unwanted": round(unwanted, 3),
        "unwanted_of": labels.get(unwanted_of or "", ""),
        "elsewhere": round(means[elsewhere_of], 3),
        "elsewhere_of": WORDS[elsewhere_of][0] if elsewhere_of in WORDS else elsewhere_of.lower(),
        "merit": round(wanted - unwanted, 3),
    }

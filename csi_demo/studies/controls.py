"""How far CSI's directions move what they are for, and what they are not for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from .. import masks
from ..data import read_pack
from ..errors import CompletionError
from ..methods.csi import CSIMethod
from ..methods.csi.controls import load_measured
from ..metrics.features import face_network
from ..pixels import masks_to_tensor, to_float
from .discovery.measures import WORDS


def evaluate_controls(data: str | Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """How far each direction of CSI moves its attribute, and the others', from its low to its high end.

    Every face is filled twice with the control's own hole, at both ends, all else equal: the k-th with seed + k and the
    method's default options. Returns n and, for every control: wanted (mean change of its attribute's probability, the
    way its name says), right_way (share of faces on which it goes that way), unwanted (the largest mean change of
    another control's attribute, absolute) and unwanted_of (which), elsewhere and elsewhere_of (the same among all
    attributes that no control is for), merit (wanted - unwanted). Raises CompletionError where no directions are known.
    """
    measured = load_measured()
    if not measured or not measured["directions"]:
        raise CompletionError("no directions of csi are known: run `python -m csi_demo discover` first")
    entries, method, network = measured["directions"], CSIMethod(), face_network()
    frames, attributes = to_float(read_pack(data, limit)), network.config.names
    labels = {entry["attribute"]: entry["label"] for entry in entries}
    rows = []
    for entry in entries:
        mask = masks_to_tensor([masks.family(entry["hole"])])
        ends = [
            method.ends(image, mask, seed + index, entry["name"])
            for index, image in enumerate(tqdm(frames.split(1), desc=entry["label"], disable=None))
        ]
        low, high = (network.probabilities(fills).double() for fills in torch.stack(ends, 1))
        own = entry["sign"] * (high - low)[:, attributes.index(entry["attribute"])]
        means = dict(zip(attributes, (high - low).mean(0).abs().tolist(), strict=True))
        means.pop(entry["attribute"])
        unwanted_of = max((name for name in means if name in labels), key=means.__getitem__, default=None)
        elsewhere_of = max((name for name in means if name not in labels), key=means.__getitem__)
        wanted, unwanted = float(own.mean()), means.get(unwanted_of or "", 0.0)
        rows.append(
            {
                "control": entry["name"],
                "hole": entry["region"],
                "wanted": round(wanted, 3),
                "right_way": round(float((own > 0).double().mean()), 3),
                "unwanted": round(unwanted, 3),
                "unwanted_of": labels.get(unwanted_of, ""),
                "elsewhere": round(means[elsewhere_of], 3),
                "elsewhere_of": WORDS[elsewhere_of][0] if elsewhere_of in WORDS else elsewhere_of.lower(),
                "merit": round(wanted - unwanted, 3),
            }
        )
    return {"n": len(frames), "controls": rows}

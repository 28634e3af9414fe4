"""How far controls that are for an attribute move it, and what they are not for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from ... import masks, weights
from ...data import read_pack
from ...errors import CompletionError, ControlError
from ...methods import Method, load_method
from ...methods.attributes import SLIDERS, AttributeMethod
from ...methods.csi import CSIMethod
from ...methods.csi.controls import load_measured
from ...methods.csi.places import REGIONS, TURN
from ...methods.gated_pixelcnn import GatedPixelCNNMethod
from ...models.attributes import AttributeNet
from ...pixels import masks_to_tensor, to_float
from ..metrics.features import face_network, judge_network
from ..metrics.labels import Known
from .discovery.measures import WORDS

TOGETHER = 16  # pictures that a Gated PixelCNN fills at once
SHOWS, MOSTLY = 0.1, 0.75  # change of a probability, and share of faces, from which a slider is offered


@dataclass(frozen=True)
class Steered:
    """A control that is for an attribute, which goes the way of `sign`: 1 or -1. hole: the name of the one that hides
    the region that shows it."""

    name: str
    label: str
    attribute: str
    sign: float
    region: str
    hole: str


def steered(method: Method) -> list[Steered]:
    """The controls of a method that are for an attribute each. Raises CompletionError where none is."""
    found = []
    if isinstance(method, AttributeMethod):
        for name, slider in method.sliders.sliders.items():
            attribute = method.sliders.names[slider.attribute]
            region = SLIDERS[attribute][1]
            hole = ",".join(str(edge) for edge in REGIONS[region])
            found.append(Steered(name, slider.control.label, attribute, slider.sign, region, hole))
    elif isinstance(method, CSIMethod) and (measured := load_measured()):
        fields = ("name", "label", "attribute", "sign", "region", "hole")
        entries = [entry for entry in measured["named"] if entry["attribute"] != TURN]
        found = [Steered(**{field: entry[field] for field in fields}) for entry in entries]
    if not found:
        hint = ": run `python -m csi_demo discover` first" if isinstance(method, CSIMethod) else ""
        raise CompletionError(f"{method.name} has no controls that are known to be for an attribute{hint}")
    return found


def ends(method: Method, image: Tensor, mask: Tensor, seed: int, name: str) -> Tensor:
    """The hole filled with a control at its low and at its high end, as `complete` does it: (2, 3, H, W)."""
    if isinstance(method, CSIMethod):
        return method.ends(image, mask, seed, name)
    control = next(control for control in method.controls if control.name == name)
    found = []
    for value in (control.minimum, control.maximum):
        *_, last = method.complete(image, mask, (seed,), {name: value})
        found.append(last.images)
    return torch.cat(found)


def evaluate_controls(
    data: str | Path, method_name: str = "csi", *, only: Sequence[str] = (), limit: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """How far each control that is for an attribute moves it, and the others', from its low to its high end.

    Every face is filled twice with the control's own region hidden, at both ends, all else equal: the k-th with
    seed + k and the method's default options. only: names of controls, to measure these alone. Returns n and, for every
    control and each of two networks (judge: the face network that training used, or the one that it did not): wanted
    (mean change of its attribute's probability, the way its name says), right_way (share of faces on which it goes that
    way), unwanted (the largest mean change of another control's attribute, absolute) and unwanted_of (which), elsewhere
    and elsewhere_of (the same among all attributes that no control is for), merit (wanted - unwanted). Raises
    CompletionError where no control is for an attribute, and ControlError for an unknown name.
    """
    method = CSIMethod() if method_name == "csi" else load_method(method_name)
    entries = steered(method)
    if unknown := set(only) - {entry.name for entry in entries}:
        raise ControlError(f"{', '.join(sorted(unknown))}: not among {', '.join(entry.name for entry in entries)}")
    frames, labels = to_float(read_pack(data, limit)), {entry.attribute: entry.label for entry in entries}
    rows = []
    for entry in entries:
        if only and entry.name not in only:
            continue
        mask = masks_to_tensor([masks.family(entry.hole)])
        low, high = _ends_of_all(method, frames, mask, seed, entry)
        for judge, network in (("face network", face_network()), ("judge", judge_network())):
            judged = _judged(network, low, high, entry.attribute, entry.sign, labels)
            rows.append({"control": entry.name, "hole": entry.region, "judge": judge} | judged)
    return {"n": len(frames), "controls": rows}


def _ends_of_all(method: Method, frames: Tensor, mask: Tensor, seed: int, entry: Steered) -> tuple[Tensor, Tensor]:
    """All frames filled with a control at its low and at its high end: (N, 3, H, W) each."""
    if isinstance(method, GatedPixelCNNMethod):  # many at once cost little more than one
        seeds = torch.arange(seed, seed + len(frames)).split(TOGETHER)
        parts = zip(frames.split(TOGETHER), seeds, strict=True)
        both = torch.cat([method.ends(part, mask, some.tolist(), entry.name) for part, some in parts])
        return both[:, 0], both[:, 1]
    pictures = enumerate(tqdm(frames.split(1), desc=entry.label, disable=None))
    low, high = torch.stack([ends(method, image, mask, seed + index, entry.name) for index, image in pictures], 1)
    return low, high


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


def offered(
    method: AttributeMethod, figures: dict[str, Any], folder: Path, left_out: Sequence[str] = ()
) -> dict[str, Any]:
    """latents.json of a method with sliders, from `evaluate_controls`: those that both networks see move far enough, in
    the declaration's order, and the log odds of the attributes among the labelled faces of a folder of packs.

    left_out: sliders that are not offered, whatever networks see. Raises ControlError for an unknown one.
    """
    entries = {entry.name: entry for entry in steered(method)}
    for name in left_out:
        if name not in entries:
            raise ControlError(f"{name} is no slider of {method.name}: {', '.join(entries)}")
    found = []
    for face, judge in zip(figures["controls"][::2], figures["controls"][1::2], strict=True):
        entry = entries[face["control"]]
        if entry.name in left_out:
            continue
        if face["wanted"] < SHOWS or min(face["right_way"], judge["right_way"]) < MOSTLY or judge["wanted"] <= 0.0:
            continue
        evidence = (
            f"{entry.label}: probability {face['wanted']:+.2f} from end to end, the right way on "
            f"{100 * face['right_way']:.0f} % of {figures['n']} faces; the region hidden: {entry.region}"
        )
        found.append({"attribute": entry.attribute, "evidence": evidence})
    odds = Known(folder, "train", method.sliders.names).log_odds()
    return {
        "weights": weights.fingerprint(method.name),
        "n": figures["n"],
        "attributes": found,
        "left_out": list(left_out),
        "odds": {name: round(value, 4) for name, value in zip(method.sliders.names, odds.tolist(), strict=True)},
    }

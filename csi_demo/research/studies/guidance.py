"""Ham et al.'s table (2018) anew: completion with attributes and without, by encoders of whole and of masked pictures.

The shipped models have no attribute, and all of them given to encoder and decoder; others, with one attribute, or with
attributes given to the encoder or the decoder alone, are measured where they have been trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from ... import masks, weights
from ...data import read_pack
from ...methods import load_method
from ...methods.attribute_vae import AttributeVAEMethod
from ...methods.attributes import AttributeSliders
from ...methods.base import keep_observed
from ...methods.vae import VAEMethod
from ...models.attribute_vae import AttributeVAE
from ...models.attributes import AttributeNet
from ...models.vae import VAE
from ...pixels import masks_to_tensor, to_float
from ..metrics.features import face_network, judge_network

PART = 32  # pictures at once
PAPER: dict[str, tuple[float, float, float]] = {  # Inception score, perceptual distance, SSIM
    "complete, no attributes": (3.096, 0.175, 0.451),
    "masked, no attributes": (2.934, 0.169, 0.446),
    "masked, no attributes, unmasked reconstruction": (2.217, 0.165, 0.437),
    "complete, all attributes (E + D)": (2.904, 0.167, 0.450),
    "complete, all attributes (E + D), unmasked reconstruction": (2.017, 0.180, 0.435),
    "masked, one attribute (E)": (2.522, 0.167, 0.417),
    "masked, one attribute (D)": (2.468, 0.166, 0.417),
    "masked, one attribute (E + D)": (2.496, 0.167, 0.416),
}
PLACES = {"none": "to neither", "encoder": "E", "decoder": "D", "both": "E + D"}
Draw = Callable[[Tensor], Tensor]
COLUMNS = (
    "model",
    "pictures",
    "score",
    "distance",
    "distance_judge",
    "ssim",
    "agrees",
    "agrees_judge",
    "paper_inception",
    "paper_distance",
    "paper_ssim",
)


def evaluate_guidance(
    data: str | Path, mask_name: str = "center", *, trained: Sequence[Path] = (), limit: int | None = None
) -> dict[str, Any]:
    """Completes the same hole in many frames by the likeliest latents, as often as the method's default says.

    trained: folders of weights as `train vae-attributes` leaves them, whose rows come last. The attributes held are
    those that the face network sees in the true picture. Returns n, mask and rows: pictures (how many the model was
    trained on; attribute VAEs went on from the one without), score (as the Inception score, exp of the mean KL of
    p(y | x) from p(y), by the face network, y its attributes taken as independent), distance and distance_judge (mean
    squared difference of the features of either network, in units of their mean square), ssim (inside the hole),
    agrees and agrees_judge (share of attributes that either network sees on the same side as in the true picture), and
    the paper's figures, which are of other networks and other masks. "Unmasked reconstruction": the decoder's whole
    picture, without the observed pixels put back; its ssim is of the whole picture, too. Raises WeightsError.
    """
    guided = load_method("vae-attributes")
    assert isinstance(guided, AttributeVAEMethod)
    frames = to_float(read_pack(data, limit))
    mask, parts = masks_to_tensor([masks.family(mask_name)]), frames.split(PART)
    rows: list[dict[str, Any]] = [{"model": "true pictures", "score": round(_score(frames), 3)}]
    for name, pictures, draws in _models(parts, trained):
        kept, drawn = _completed(parts, mask, draws, _iterations(guided))
        hole = mask[0, 0].numpy() < 0.5
        for row in (
            _row(name, frames, kept, hole),
            _row(f"{name}, unmasked reconstruction", frames, drawn, np.ones_like(hole)),
        ):
            rows.append({"model": row.pop("model"), "pictures": pictures} | row)
    return {"n": len(frames), "mask": mask_name, "rows": rows}


def _models(parts: Sequence[Tensor], trained: Sequence[Path]) -> Iterator[tuple[str, int, list[Draw]]]:
    """A row's name, the pictures that its model was trained on, and what draws each part of the faces anew."""
    plain = load_method("vae")
    assert isinstance(plain, VAEMethod)
    for seen in ("complete", "masked"):
        draw = partial(_plain, plain.model, seen == "masked")
        yield f"{seen}, no attributes", _pictures("vae"), [draw] * len(parts)
    for folder in (None, *trained):
        model: AttributeVAE = weights.load_network("vae-attributes", folder)
        names, place = model.config.names, PLACES[model.config.attributes_to]
        known = face_network().config.names
        count = (
            "one attribute" if len(names) == 1 else "all attributes" if names == known else f"{len(names)} attributes"
        )
        sliders = AttributeSliders("vae-attributes", names)
        values = [sliders.seen(part) for part in parts]
        for seen in ("complete", "masked"):
            draws: list[Draw] = [partial(_guided, model, seen == "masked", y) for y in values]
            yield f"{seen}, {count} ({place})", _pictures("vae-attributes", folder), draws


def _pictures(model: str, folder: Path | None = None) -> int:
    return sum(weights.read_metrics(model, folder)["training"]["pictures_per_stage"].values())


def _plain(model: VAE, masked: bool, x: Tensor) -> Tensor:
    return model.decode(model.encode(x, masked)[0])


def _guided(model: AttributeVAE, masked: bool, y: Tensor, x: Tensor) -> Tensor:
    known = torch.ones_like(y)
    return model.decode_with(model.encode_with(x, masked, y, known)[0], y, known)


def _iterations(method: AttributeVAEMethod) -> int:
    return int(next(option.default or 1 for option in method.options if option.name == "iterations"))


@torch.inference_mode()
def _completed(parts: Sequence[Tensor], mask: Tensor, draws: Sequence[Draw], iterations: int) -> tuple[Tensor, Tensor]:
    """Completed pictures (N, 3, H, W), and the decoder's own."""
    found: list[tuple[Tensor, Tensor]] = []
    for image, draw in zip(parts, draws, strict=True):
        picture = drawn = image * mask
        for _ in range(iterations):
            drawn = draw(picture)
            picture = keep_observed(image, mask, drawn)
        found.append((picture, drawn))
    kept, whole = (torch.cat(pictures) for pictures in zip(*found, strict=True))
    return kept, whole


def _row(name: str, frames: Tensor, pictures: Tensor, where: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {"model": name, "score": round(_score(pictures), 3)}
    for network, suffix in ((face_network(), ""), (judge_network(), "_judge")):
        row[f"distance{suffix}"] = round(_distance(network, pictures, frames), 4)
        row[f"agrees{suffix}"] = round(_agreement(network, pictures, frames), 4)
    row["ssim"] = round(float(np.mean([_ssim(a, b, where) for a, b in zip(pictures, frames, strict=True)])), 4)
    if name in PAPER:
        row |= dict(zip(("paper_inception", "paper_distance", "paper_ssim"), PAPER[name], strict=True))
    return row


@torch.inference_mode()
def _by_parts(what: Callable[[Tensor], Tensor], pictures: Tensor) -> Tensor:
    return torch.cat([what(part) for part in pictures.split(PART)])


def _score(pictures: Tensor) -> float:
    """exp of the mean divergence of what the face network sees in each picture from what it sees in all."""
    p = _by_parts(face_network().probabilities, pictures).double().clamp(1e-6, 1.0 - 1e-6)
    mean = p.mean(0)
    divergence = p * torch.log(p / mean) + (1.0 - p) * torch.log((1.0 - p) / (1.0 - mean))
    return float(divergence.sum(1).mean().exp())


def _distance(network: AttributeNet, pictures: Tensor, frames: Tensor) -> float:
    """Mean squared difference of each level's features, in units of their mean square, averaged over the levels."""
    parts = []
    with torch.inference_mode():
        for some, true in zip(pictures.split(PART), frames.split(PART), strict=True):
            pairs = zip(network.activations(some)[:3], network.activations(true)[:3], strict=True)
            levels = [(a - b).square().mean((1, 2, 3)) / b.square().mean((1, 2, 3)) for a, b in pairs]
            parts.append(torch.stack(levels).mean(0))
    return float(torch.cat(parts).mean())


def _agreement(network: AttributeNet, pictures: Tensor, frames: Tensor) -> float:
    return float(((_by_parts(network, pictures) > 0.0) == (_by_parts(network, frames) > 0.0)).double().mean())


def _ssim(picture: Tensor, true: Tensor, where: np.ndarray) -> float:
    pair = (tensor.permute(1, 2, 0).numpy() for tensor in (picture, true))
    _, values = structural_similarity(*pair, channel_axis=2, data_range=2.0, full=True)
    return float(values[where].mean())

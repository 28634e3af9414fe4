"""What is measured of small variants of the Gated PixelCNN on test faces."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..... import weights
from .....methods.small_csi import SIZE, SmallModel, load, model_name, normal
from .....models.gated_pixelcnn import GatedPixelCNN
from .....models.logistic_mixture import quantise
from .....models.pixelcnn_autoencoder import PixelCNNAutoencoder
from .....pixels import to_float
from .....sampling.gated import Conditions, Taste, frozen_uniforms, sample_rows
from ....metrics.features import face_network, features, judge_network
from ....metrics.labels import embeddings
from ..measures import BATCH, distances, enlarged, hole_mask, infer_all, mean_and_error, true_bits

HELD = ("Smiling", "Male", "Eyeglasses", "Bangs", "Blond_Hair", "Black_Hair")  # attributes to sample by


def numbers(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def nothing(images: Tensor) -> tuple[Tensor, Tensor]:
    """y and known of faces of whom nothing is known, for a model without conditions."""
    return images.new_zeros(len(images), 1), images.new_zeros(len(images), 1)


@torch.inference_mode()
def hole_bits(
    model: GatedPixelCNN, images: Tensor, mask: Tensor, y: Tensor | None = None, known: Tensor | None = None
) -> Tensor:
    """-log2 p a channel of the P true pixels of the hole (1, 1, H, W): (N, P). y, known: (N, A); None: nothing is."""
    y = images.new_zeros(len(images), model.config.condition_dim) if y is None else y
    known = torch.zeros_like(y) if known is None else known
    parts = zip(*(tensor.split(BATCH) for tensor in (images, y, known)), strict=True)
    found = [model.pixel_nll(some, mask.expand(len(some), -1, -1, -1), *given) for some, *given in parts]
    return torch.cat(found)[:, mask[0, 0] < 0.5] / (3.0 * math.log(2.0))


@torch.inference_mode()
def draw_hole(
    model: GatedPixelCNN, images: Tensor, mask: Tensor, y: Tensor, known: Tensor, seeds: Sequence[int]
) -> Tensor:
    """Pictures (N, 3, H, W) with the hole (1, 1, H, W) drawn, each with the noise of its own seed."""
    drawn = []
    for first in range(0, len(images), BATCH):
        part = slice(first, first + BATCH)
        x, given = images[part], (y[part], known[part])
        conditions = Conditions.of(model, x, mask.expand(len(x), -1, -1, -1), *given, guided=False)
        uniforms = frozen_uniforms(seeds[part], *x.shape[2:])
        *_, (last, _, _) = sample_rows(model, quantise(x), mask, conditions, uniforms, Taste())
        drawn.append(last)
    return torch.cat(drawn)


def measure_csi(variant: SmallModel, faces: Tensor, seed: int) -> dict[str, Any]:
    """Figures of a variant of CSI among the weights, and what it is."""
    model = load(variant.name)
    mean, sigma = infer_all(model, faces, hole_mask())
    z = mean + sigma * normal(range(seed, seed + len(faces)), mean.shape[1])
    trained = weights.read_metrics(model_name(variant.name, None), None)["training"]["settings"]["pictures"]
    return {
        "variant": f"CSI, {variant.label[0].lower()}{variant.label[1:]}",
        "weights": numbers(model),
        "pictures": sum(trained),  # of both stages, the first perhaps as another variant
    } | mean_and_error("bits_per_dim", true_bits(model, faces, hole_mask(), z).mean(1), "bits_error")


def by_attribute(model: GatedPixelCNN, frames: Tensor, name: str, seeds: Sequence[int]) -> Tensor:
    """Samples (N, 2, 3, 32, 32) without an attribute and with it, else given the attributes of faces, uint8
    (N, 3, 64, 64), as the face network has them; the noise of both is the same."""
    network, names = face_network(), list(model.config.names)
    columns = [network.config.names.index(one) for one in names]
    y = 2.0 * network.probabilities(to_float(frames))[:, columns] - 1.0
    y = y.repeat_interleave(2, 0)
    y[::2, names.index(name)], y[1::2, names.index(name)] = -1.0, 1.0
    blank = y.new_zeros(len(y), 3, SIZE, SIZE)
    pairs = [seed for seed in seeds[: len(frames)] for _ in range(2)]
    drawn = draw_hole(model, blank, torch.zeros_like(blank[:1, :1]), y, torch.ones_like(y), pairs)
    return drawn.unflatten(0, (-1, 2))


def measure_attributes(model: GatedPixelCNN, frames: Tensor, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Figures by attribute. frames: uint8 (N, 3, 64, 64)."""
    for name in HELD:
        pairs = enlarged(by_attribute(model, frames, name, range(seed, seed + len(frames))).flatten(0, 1))
        figures: dict[str, float] = {}
        for ending, network in (("", face_network()), ("_judge", judge_network())):
            column = network.config.names.index(name)
            seen = torch.cat([network.probabilities(part)[:, column] for part in pairs.split(BATCH)])
            change = seen[1::2] - seen[::2]
            figures |= {
                f"wanted{ending}": float(change.mean()),
                f"right_way{ending}": float((change > 0).double().mean()),
            }
        yield name, {key: round(value, 4) for key, value in figures.items()}


def portraits(model: GatedPixelCNN, known: Tensor, seeds: Sequence[int]) -> Tensor:
    """New pictures (N, 3, 32, 32) given embeddings (N, C)."""
    blank = known.new_zeros(len(known), 3, SIZE, SIZE)
    return draw_hole(model, blank, torch.zeros_like(blank[:1, :1]), known, torch.ones_like(known), seeds)


def measure_portraits(model: GatedPixelCNN, frames: Tensor, faces: Tensor, seed: int) -> dict[str, float]:
    """Figures of a model that draws portraits. frames: uint8 (N, 3, 64, 64); faces: those averaged 2x2, as floats."""
    known, everything = embeddings(frames), torch.zeros_like(faces[:1, :1])
    flags = torch.ones_like(known)
    drawn = portraits(model, known.repeat(2, 1), range(seed, seed + 2 * len(known))).chunk(2)
    mine, photos = (_judged(pictures) for pictures in (drawn[0], faces))
    bits = {
        "bits_per_dim": hole_bits(model, faces, everything, known, flags),
        "bits_of_another": hole_bits(model, faces, everything, known.roll(1, 0), flags),
        "bits_of_none": hole_bits(model, faces, everything),
    }
    others = {"likeness": photos, "likeness_of_another": photos.roll(1, 0)}
    return (
        {name: round(float(values.mean()), 4) for name, values in bits.items()}
        | {name: round(float((mine * some).sum(1).mean()), 4) for name, some in others.items()}
        | {"redraw": _redraw(*drawn)}
    )


def _judged(pictures: Tensor) -> Tensor:
    """The judge's features of pictures, their mean taken off, each of length 1: (N, C)."""
    seen = torch.from_numpy(features(judge_network(), enlarged(pictures)))
    return F.normalize(seen - seen.mean(0), dim=1)


def _redraw(first: Tensor, second: Tensor) -> float:
    """How far two draws for one face are apart, over how far those of different faces are."""
    return round(float((first - second).abs().mean() / (first - second.roll(1, 0)).abs().mean()), 4)


@torch.inference_mode()
def rebuild(model: PixelCNNAutoencoder, faces: Tensor, seeds: Sequence[int]) -> Tensor:
    """Pictures as the decoder has them of their codes: drawn, or the one that it answers with."""
    code = torch.cat([model.encode(part) for part in faces.split(BATCH)])
    if not isinstance(model.decoder, GatedPixelCNN):
        return torch.cat([model.decoder(part) for part in code.split(BATCH)])
    return draw_hole(
        model.decoder, torch.zeros_like(faces), torch.zeros_like(faces[:1, :1]), code, torch.ones_like(code), seeds
    )


@torch.inference_mode()
def measure_autoencoder(model: PixelCNNAutoencoder, faces: Tensor, seed: int) -> dict[str, float]:
    """Figures of an autoencoder."""
    n, network = len(faces), face_network()
    rebuilt, again = rebuild(model, faces.repeat(2, 1, 1, 1), range(seed, seed + 2 * n)).chunk(2)
    seen, seen_again = (
        torch.cat([network(part) > 0 for part in enlarged(some).split(BATCH)]) for some in (faces, rebuilt)
    )
    figures: dict[str, float] = {
        "l1": float((rebuilt - faces).abs().mean()),
        "roughness": _steps(rebuilt) / _steps(faces),
        "redraw": _redraw(rebuilt, again),
        "attributes": float((seen == seen_again).double().mean()),
    }
    if isinstance(model.decoder, GatedPixelCNN):
        code = torch.cat([model.encode(part) for part in faces.split(BATCH)])
        bits = hole_bits(model.decoder, faces, torch.zeros_like(faces[:1, :1]), code, torch.ones_like(code))
        figures["bits_per_dim"] = float(bits.mean())
    return {name: round(value, 4) for name, value in figures.items()} | distances(rebuilt, faces)


def _steps(pictures: Tensor) -> float:
    """Mean absolute difference of neighbours, across and down."""
    return float(pictures.diff(dim=2).abs().mean() + pictures.diff(dim=3).abs().mean()) / 2.0

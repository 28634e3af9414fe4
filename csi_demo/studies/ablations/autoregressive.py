"""What van den Oord et al. (2016) show of the Gated PixelCNN, on small variants for 32x32 pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ... import weights
from ...data import read_pack, shrink
from ...metrics.features import face_network, features, judge_network
from ...metrics.labels import embeddings
from ...models.gated_pixelcnn import GatedPixelCNN
from ...models.logistic_mixture import quantise
from ...models.pixelcnn_autoencoder import AutoencoderConfig, PixelCNNAutoencoder
from ...photo.sheets import sheet
from ...pixels import png, to_float, to_pictures
from ...sampling.gated import Conditions, Taste, frozen_uniforms, sample_rows
from ..tables import table
from .measures import BATCH, HOLE, distances, enlarged, hole_mask, infer_all, mean_and_error, true_bits
from .variants import SHOWN, SIZE, load, model_name, normal
from .variants import Variant as CSIVariant

SHEET = 6  # pictures in a row of a sheet
CROP = 24  # side of what the stacks see in training, as of the variants of CSI
# As many pixels above and to the left as the variants of CSI, about as many weights, and as many logistics.
SMALL: dict[str, Any] = {
    "image_size": SIZE,
    "filters": 20,
    "layers": 6,
    "first_kernel": 5,
    "head": "mixture",
    "mixtures": 5,
    "head_filters": 40,
    "condition": "none",
    "embedding": 16,
    "context_channels": (16, 16, 24, 32),
    "map_channels": 16,
}
# Of those that draw whole faces, which take longer and are compared with one another alone.
WIDE: dict[str, Any] = {
    "filters": 32,
    "layers": 7,
    "head": "mixture",
    "embedding": 64,
    "context_channels": (24, 32, 48, 64),
    "map_channels": 32,
}
CHANNELS = (32, 64, 96)  # of an autoencoder's encoder
HELD = ("Smiling", "Male", "Eyeglasses", "Bangs", "Blond_Hair", "Black_Hair")  # attributes to sample by


@dataclass(frozen=True)
class Variant:
    """settings: what differs from `SMALL`; whole: trained on holes that are everything; bottleneck: of an autoencoder,
    0 for what is none, and its decoder."""

    name: str
    label: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    bottleneck: int = 0
    decoder: str = "pixelcnn"

    def overrides(self) -> dict[str, Any]:
        """Fields of a Gated PixelCNN's config; what a condition is made of the training finds out."""
        fields = SMALL | dict(self.settings)
        return fields | {"condition_dim": 1} if fields["condition"] == "none" else fields

    def autoencoder(self) -> AutoencoderConfig:
        return AutoencoderConfig(
            image_size=SIZE,
            bottleneck=self.bottleneck,
            decoder=self.decoder,
            channels=CHANNELS,
            **WIDE,
        )


FORWARD = Variant("forward", "Gated PixelCNN, forward only", {"context": False})
CONTEXT = Variant("context", "Gated PixelCNN, given the context")
SOFTMAX = Variant("softmax", "the same with 256 levels a channel", {"head": "softmax"})
ATTRIBUTES = Variant("attributes", "given attributes", WIDE | {"condition": "attributes", "context": False}, whole=True)
PORTRAITS = Variant(
    "portraits", "given a face's embedding", WIDE | {"condition": "embedding", "context": False}, whole=True
)
AUTOENCODERS = tuple(
    Variant(f"{decoder}-{width}", f"{label}, {width} numbers", bottleneck=width, decoder=decoder)
    for width in (10, 100)
    for decoder, label in (("mse", "squared error"), ("pixelcnn", "PixelCNN"))
)
COMPLETIONS = (FORWARD, CONTEXT, SOFTMAX)
CONDITIONED = (ATTRIBUTES, PORTRAITS)
VARIANTS = (*COMPLETIONS, *CONDITIONED, *AUTOENCODERS)

# Each a table of the report: what is claimed, and what its columns mean.
CLAIMS = {
    "completions": (
        "Bits of a hole",
        "Kalchbrenner and van den Oord's networks are compared by bits/dim of whole pictures: the Gated PixelCNN comes "
        "within a hundredth of the PixelRNN. CSI (section 3): context below and to the right, and latents, tell more.",
        {
            "bits_per_dim": "-log2 p a channel of the hole's true pixels, given what is visible above and to the left "
            "(forward only) or all around; with latents, given those of the posterior",
            "bits_error": "its standard error",
            "weights": "numbers in the network",
        },
    ),
    "attributes": (
        "Samples by attribute",
        "One model draws convincing samples of every class that it is told; here the classes are a face's attributes.",
        {
            "wanted": "change of the attribute's mean probability between samples with it and without, given all else "
            "that the face network sees in a test face, as that network sees them",
            "right_way": "share of faces on which it goes the right way",
            "wanted_judge": "the first, as the judge sees it",
            "right_way_judge": "the second",
        },
    ),
    "portraits": (
        "New portraits of one person",
        "Conditioned on a face network's embedding of one photo, samples are new portraits of the same person.",
        {
            "bits_per_dim": "-log2 p a channel of the true picture, given its own embedding",
            "bits_of_another": "the same, given another face's",
            "bits_of_none": "the same, given none",
            "likeness": "correlation of a portrait's features with the person's photo, as the judge sees them, whose "
            "mean over all faces is taken off",
            "likeness_of_another": "the same, with another person's photo",
            "redraw": "mean L1 between portraits of one face over that between portraits of different ones",
        },
    ),
    "autoencoders": (
        "An autoencoder with a PixelCNN",
        "With a PixelCNN for a decoder a code holds what a picture is of, and its draws are sharp pictures that "
        "differ; with the squared error it holds what lowers that, and the decoder answers with one blurred picture.",
        {
            "l1": "mean absolute difference between faces and their (first) reconstructions, of a range of 2",
            "roughness": "mean difference of neighbouring pixels over the faces' own",
            "redraw": "mean L1 between two draws of one code over that between draws of different ones (0: alike)",
            "attributes": "share of attributes that the face network sees on the same side in a face and in what the "
            "code gives",
            "frechet": "Fréchet distance of the reconstructions to the faces, as the face network sees them",
            "frechet_judge": "the same, as the judge does",
            "bits_per_dim": "-log2 p a channel of the picture given its code",
            "weights": "numbers in the network",
        },
    ),
}


def report(test: Path, folder: Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """The rows of the variants that a folder has, measured on a pack of test pictures averaged 2x2, beside the variants
    of CSI among the weights.

    Returns n, hole, seed (of what is drawn), and the rows of every table; see `CLAIMS`. Raises WeightsError where the
    folder has none.
    """
    frames = read_pack(test, limit)
    faces, present = to_float(shrink(frames, SIZE)), _present(folder)
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in CLAIMS}
    for variant in present:
        model = _load(variant, folder)
        trained = weights.read_metrics(variant.name, folder)["training"]["pictures_per_stage"]["1"]
        about = {"variant": variant.label, "weights": _numbers(model), "pictures": trained}
        if isinstance(model, PixelCNNAutoencoder):
            rows["autoencoders"].append(about | _measure_autoencoder(model, faces, seed))
        elif variant == ATTRIBUTES:
            rows["attributes"] += [
                about | {"variant": one} | row for one, row in _measure_attributes(model, frames, seed)
            ]
        elif variant == PORTRAITS:
            rows["portraits"].append(about | _measure_portraits(model, frames, faces, seed))
        else:
            bits = _bits(model, faces, hole_mask()).mean(1)
            rows["completions"].append(about | mean_and_error("bits_per_dim", bits, "bits_error"))
    for other in SHOWN if rows["completions"] else ():
        rows["completions"].append(_measure_csi(other, faces, seed))
    return {"n": len(faces), "hole": HOLE, "seed": seed} | rows


def markdown(figures: Mapping[str, Any]) -> str:
    """The tables that there are rows for, with what is claimed and what the columns mean."""
    parts = []
    for name, (title, claim, columns) in CLAIMS.items():
        if figures[name]:
            meanings = "; ".join(f"{column}: {text}" for column, text in columns.items())
            rows = table(figures[name], ("variant", *columns, "pictures"))
            parts.append(f"### {title}\n\nThe claim: {claim}\n\n{rows}\n\n{meanings}.\n")
    return "\n".join(parts)


def write_figures(test: Path, folder: Path, out: Path, *, seed: int = 0) -> list[Path]:
    """Contact sheets of the first test pictures, as PNG. Returns the files."""
    frames = read_pack(test, SHEET)
    faces, seeds, hole = to_float(shrink(frames, SIZE)), range(seed, seed + SHEET), hole_mask()
    sheets: dict[str, dict[str, Tensor]] = {}
    for variant in _present(folder):
        model = _load(variant, folder)
        if isinstance(model, PixelCNNAutoencoder):
            rows = sheets.setdefault("autoencoders", {"true": faces})
            rows[variant.label] = _rebuilt(model, faces, seeds)
        elif variant == ATTRIBUTES:
            sheets["attributes"] = {
                f"{_words(name)}:\nwithout, with": _by_attribute(model, frames[: SHEET // 2], name, seeds).flatten(0, 1)
                for name in HELD
            }
        elif variant == PORTRAITS:
            sheets["portraits"] = _portrait_rows(model, frames, faces, seeds)
        else:
            rows = sheets.setdefault("completions", {"true": faces, "masked": faces * hole})
            rows[variant.label] = _draw(model, faces, hole, *_nothing(faces), seeds)
    files = []
    for name, rows in sheets.items():
        made = [to_pictures(quantise(pictures)) for pictures in rows.values()]
        files.append(out / f"{name}.png")
        drawn = sheet(made, tuple(rows), [[""] * len(row) for row in made], name.capitalize())
        weights.write_atomically(files[-1], png(drawn))
    return files


def _present(folder: Path) -> list[Variant]:
    found = [variant for variant in VARIANTS if weights.available(variant.name, folder)]
    if not found:
        raise weights.WeightsError(f"no trained variants in {folder}: use --train")
    return found


def _load(variant: Variant, folder: Path) -> GatedPixelCNN | PixelCNNAutoencoder:
    return weights.load_network("pixelcnn-autoencoder" if variant.bottleneck else "pixelcnn", folder, variant.name)


def _numbers(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _nothing(images: Tensor) -> tuple[Tensor, Tensor]:
    """y and known of faces of whom nothing is known, for a model without conditions."""
    return images.new_zeros(len(images), 1), images.new_zeros(len(images), 1)


@torch.inference_mode()
def _bits(
    model: GatedPixelCNN, images: Tensor, mask: Tensor, y: Tensor | None = None, known: Tensor | None = None
) -> Tensor:
    """-log2 p a channel of the P true pixels of the hole (1, 1, H, W): (N, P). y, known: (N, A); None: nothing is."""
    y = images.new_zeros(len(images), model.config.condition_dim) if y is None else y
    known = torch.zeros_like(y) if known is None else known
    parts = zip(*(tensor.split(BATCH) for tensor in (images, y, known)), strict=True)
    found = [model.pixel_nll(some, mask.expand(len(some), -1, -1, -1), *given) for some, *given in parts]
    return torch.cat(found)[:, mask[0, 0] < 0.5] / (3.0 * math.log(2.0))


@torch.inference_mode()
def _draw(model: GatedPixelCNN, images: Tensor, mask: Tensor, y: Tensor, known: Tensor, seeds: Sequence[int]) -> Tensor:
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


def _measure_csi(variant: CSIVariant, faces: Tensor, seed: int) -> dict[str, Any]:
    """A row of the first table, of a variant of CSI among the weights."""
    model = load(variant.name)
    mean, sigma = infer_all(model, faces, hole_mask())
    z = mean + sigma * normal(range(seed, seed + len(faces)), mean.shape[1])
    trained = weights.read_metrics(model_name(variant.name, None), None)["training"]["pictures_per_stage"]
    return {
        "variant": f"CSI, {variant.label[0].lower()}{variant.label[1:]}",
        "weights": _numbers(model),
        "pictures": sum(trained.values()),
    } | mean_and_error("bits_per_dim", true_bits(model, faces, hole_mask(), z).mean(1), "bits_error")


def _by_attribute(model: GatedPixelCNN, frames: Tensor, name: str, seeds: Sequence[int]) -> Tensor:
    """Samples (N, 2, 3, 32, 32) without an attribute and with it, else given the attributes of faces, uint8
    (N, 3, 64, 64), as the face network has them; the noise of both is the same."""
    network, names = face_network(), list(model.config.names)
    columns = [network.config.names.index(one) for one in names]
    y = 2.0 * network.probabilities(to_float(frames))[:, columns] - 1.0
    y = y.repeat_interleave(2, 0)
    y[::2, names.index(name)], y[1::2, names.index(name)] = -1.0, 1.0
    blank = y.new_zeros(len(y), 3, SIZE, SIZE)
    pairs = [seed for seed in seeds[: len(frames)] for _ in range(2)]
    drawn = _draw(model, blank, torch.zeros_like(blank[:1, :1]), y, torch.ones_like(y), pairs)
    return drawn.unflatten(0, (-1, 2))


def _measure_attributes(model: GatedPixelCNN, frames: Tensor, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Rows of the second table and what they are called. frames: uint8 (N, 3, 64, 64)."""
    for name in HELD:
        pairs = enlarged(_by_attribute(model, frames, name, range(seed, seed + len(frames))).flatten(0, 1))
        figures: dict[str, float] = {}
        for ending, network in (("", face_network()), ("_judge", judge_network())):
            column = network.config.names.index(name)
            seen = torch.cat([network.probabilities(part)[:, column] for part in pairs.split(BATCH)])
            change = seen[1::2] - seen[::2]
            figures |= {
                f"wanted{ending}": float(change.mean()),
                f"right_way{ending}": float((change > 0).double().mean()),
            }
        yield _words(name), {key: round(value, 4) for key, value in figures.items()}


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _portraits(model: GatedPixelCNN, known: Tensor, seeds: Sequence[int]) -> Tensor:
    """New pictures (N, 3, 32, 32) given embeddings (N, C)."""
    blank = known.new_zeros(len(known), 3, SIZE, SIZE)
    return _draw(model, blank, torch.zeros_like(blank[:1, :1]), known, torch.ones_like(known), seeds)


def _portrait_rows(model: GatedPixelCNN, frames: Tensor, faces: Tensor, seeds: Sequence[int]) -> dict[str, Tensor]:
    """A row for every photo, which stands first, and one whose embeddings lead from the first photo to the second."""
    known, count = embeddings(frames), SHEET - 1
    steps = torch.linspace(0.0, 1.0, SHEET)[:, None]
    asked = torch.cat((known.repeat_interleave(count, 0), torch.lerp(known[:1], known[1:2], steps)))
    drawn = _portraits(model, asked, [*seeds[1:]] * len(faces) + [seeds[0]] * SHEET)
    rows = {
        f"photo {number + 1}\nand portraits": torch.cat((face[None], drawn[number * count : (number + 1) * count]))
        for number, face in enumerate(faces)
    }
    rows["from 1 to 2"] = drawn[-SHEET:]
    return rows


def _measure_portraits(model: GatedPixelCNN, frames: Tensor, faces: Tensor, seed: int) -> dict[str, float]:
    """A row of the third table. frames: uint8 (N, 3, 64, 64); faces: the same averaged 2x2, in [-1, 1]."""
    known, everything = embeddings(frames), torch.zeros_like(faces[:1, :1])
    flags = torch.ones_like(known)
    drawn = _portraits(model, known.repeat(2, 1), range(seed, seed + 2 * len(known))).chunk(2)
    mine, photos = (_judged(pictures) for pictures in (drawn[0], faces))
    bits = {
        "bits_per_dim": _bits(model, faces, everything, known, flags),
        "bits_of_another": _bits(model, faces, everything, known.roll(1, 0), flags),
        "bits_of_none": _bits(model, faces, everything),
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
def _rebuilt(model: PixelCNNAutoencoder, faces: Tensor, seeds: Sequence[int]) -> Tensor:
    """Pictures as the decoder has them of their codes: drawn, or the one that it answers with."""
    code = torch.cat([model.encode(part) for part in faces.split(BATCH)])
    if not isinstance(model.decoder, GatedPixelCNN):
        return torch.cat([model.decoder(part) for part in code.split(BATCH)])
    return _draw(
        model.decoder, torch.zeros_like(faces), torch.zeros_like(faces[:1, :1]), code, torch.ones_like(code), seeds
    )


@torch.inference_mode()
def _measure_autoencoder(model: PixelCNNAutoencoder, faces: Tensor, seed: int) -> dict[str, float]:
    """A row of the fourth table."""
    n, network = len(faces), face_network()
    rebuilt, again = _rebuilt(model, faces.repeat(2, 1, 1, 1), range(seed, seed + 2 * n)).chunk(2)
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
        bits = _bits(model.decoder, faces, torch.zeros_like(faces[:1, :1]), code, torch.ones_like(code))
        figures["bits_per_dim"] = float(bits.mean())
    return {name: round(value, 4) for name, value in figures.items()} | distances(rebuilt, faces)


def _steps(pictures: Tensor) -> float:
    """Mean absolute difference of neighbours, across and down."""
    return float(pictures.diff(dim=2).abs().mean() + pictures.diff(dim=3).abs().mean()) / 2.0

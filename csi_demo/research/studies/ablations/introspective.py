"""The ablation of Brock et al. (2017) on small variants of IAN: a VAE/GAN, and what makes it an IAN one by one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .... import weights
from ....data import read_pack, shrink
from ....models.ian import IAN, IANConfig
from ....pixels import to_float, to_pictures
from ...metrics.features import face_network
from ..tables import meanings, table
from .measures import BATCH, distances, enlarged
from .shared import SHEET, present, write_sheet

SMALL: dict[str, Any] = {
    "image_size": 32,
    "latent_dim": 64,
    "generator_channels": (128, 64, 48, 24),
    "critic_channels": (32, 64, 96),
    "head_channels": (24, 48, 48),
    "head_hidden": 128,
}
CLAIM = (
    "Each of the three, added to the ones before it, makes reconstructions and samples better, and multiscale dilated "
    "convolutions (MDC) by far the most."
)
COLUMNS = {
    "l1": "mean absolute difference between faces and their reconstructions, of a range of 2",
    "attribute_error": "share of attributes that the face network sees in only one of a face and its reconstruction",
    "frechet": "Fréchet distance of as many samples as faces to the faces, as the face network sees them",
    "frechet_judge": "the same, as the judge does",
    "weights": "numbers in the generator",
}


@dataclass(frozen=True)
class EditorVariant:
    """config: what differs from `SMALL`; orthogonal: whether filters are kept orthogonal; seed: of the training."""

    name: str
    label: str
    mdc: bool = False
    orthogonal: bool = False
    ternary: bool = False
    seed: int = 0

    def config(self) -> IANConfig:
        return IANConfig(**(SMALL | {"mdc": self.mdc, "ternary": self.ternary}))


VARIANTS = (
    EditorVariant("baseline", "VAE/GAN"),
    EditorVariant("baseline-again", "VAE/GAN, another seed", seed=1),
    EditorVariant("mdc", "+ MDC", mdc=True),
    EditorVariant("orthogonal", "+ orthogonal regularisation", mdc=True, orthogonal=True),
    EditorVariant("ternary", "+ ternary critic (IAN)", mdc=True, orthogonal=True, ternary=True),
)


def measure_variants(test: Path, folder: Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """The rows of the variants that a folder has, measured on test pictures averaged 2x2. A last one compares two
    halves of the faces.

    Returns n, seed (of the samples) and rows; see `COLUMNS`. Raises WeightsError where the folder has none.
    """
    faces = _faces(test, limit)
    rows = []
    for variant, model in _present(folder):
        rows.append(
            {"variant": variant.label}
            | _reconstructions(model, faces)
            | distances(_samples(model, len(faces), seed), faces)
            | {
                "weights": sum(parameter.numel() for parameter in model.generator.parameters()),
                "pictures": weights.read_metrics(variant.name, folder)["training"]["pictures_per_stage"]["1"],
            }
        )
    rows.append({"variant": "faces, one half from the other"} | distances(faces[::2], faces[1::2]))
    return {"n": len(faces), "seed": seed, "rows": rows}


def markdown(figures: Mapping[str, Any]) -> str:
    """The table, with what the paper says and what the columns mean."""
    rows = table(figures["rows"], ("variant", *COLUMNS))
    return f"### What makes an IAN of a VAE/GAN\n\nThe paper: {CLAIM}\n\n{rows}\n\n{meanings(COLUMNS)}\n"


def write_figures(test: Path, folder: Path, out: Path, *, seed: int = 0) -> list[Path]:
    """Contact sheets of the first test pictures' reconstructions and of samples, as PNG. Returns the files."""
    few = _faces(test, SHEET)
    models = {variant.label: model for variant, model in _present(folder)}
    kinds = {
        "reconstructions": {"faces": few} | {label: _rebuilt(model, few) for label, model in models.items()},
        "samples": {label: _samples(model, SHEET, seed) for label, model in models.items()},
    }
    return [
        write_sheet({label: to_pictures(own) for label, own in rows.items()}, name.capitalize(), out / f"{name}.png")
        for name, rows in kinds.items()
    ]


def _present(folder: Path) -> list[tuple[EditorVariant, IAN]]:
    found = present(VARIANTS, folder)
    return [(variant, weights.load_network("ian", folder, variant.name)) for variant in found]


def _faces(test: Path, limit: int | None) -> Tensor:
    return to_float(shrink(read_pack(test, limit), SMALL["image_size"]))


@torch.inference_mode()
def _samples(model: IAN, count: int, seed: int) -> Tensor:
    z = torch.randn((count, model.config.latent_dim), generator=torch.Generator().manual_seed(seed))
    return torch.cat([model.generator(part) for part in z.split(BATCH)])


@torch.inference_mode()
def _rebuilt(model: IAN, faces: Tensor) -> Tensor:
    return torch.cat([model.reconstruct(part) for part in faces.split(BATCH)])


@torch.inference_mode()
def _reconstructions(model: IAN, faces: Tensor) -> dict[str, float]:
    rebuilt, network = _rebuilt(model, faces), face_network()
    seen, again = (torch.cat([network(part) > 0 for part in enlarged(some).split(BATCH)]) for some in (faces, rebuilt))
    errors = {"l1": (rebuilt - faces).abs().mean(), "attribute_error": (seen != again).float().mean()}
    return {name: round(float(value), 4) for name, value in errors.items()}

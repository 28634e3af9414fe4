"""What van den Oord et al. (2016) show of the Gated PixelCNN, on small variants for 32x32 pictures: tables, sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..... import weights
from .....data import read_pack, shrink
from .....methods.small_csi import SHOWN, SIZE
from .....models.gated_pixelcnn import GatedPixelCNN
from .....models.logistic_mixture import quantise
from .....models.pixelcnn_autoencoder import PixelCNNAutoencoder
from .....pixels import to_float, to_pictures
from ....metrics.labels import embeddings
from ...tables import meanings, table
from ..measures import HOLE, hole_mask, mean_and_error
from ..shared import SHEET, present, write_sheet
from . import measures
from .measures import by_attribute, draw_hole, hole_bits, nothing, numbers, portraits, rebuild
from .variants import ATTRIBUTES, PORTRAITS, VARIANTS, PixelCNNVariant

# Each a table of the report: what is claimed, and what its columns mean.
CLAIMS = {
    "completions": (
        "Bits of a hole",
        "By bits/dim of whole pictures the Gated PixelCNN (3.03 on CIFAR-10) does better than the PixelCNN (3.14) and "
        "nearly as well as the PixelRNN (3.00). CSI (section 3): what is visible below and to the right, and latents, "
        "tell more.",
        {
            "bits_per_dim": "-log2 p a channel of the hole's true pixels, given what is visible above and to the left "
            "(forward only) or all around; with latents, given those of the posterior",
            "weights": "numbers in the network",
        },
    ),
    "attributes": (
        "Samples by attribute",
        "One model draws convincing samples of every class that it is told; here the classes are a face's attributes.",
        {
            "wanted_judge": "change of the attribute's mean probability between samples with it and without",
            "right_way_judge": "share of faces on which it goes the right way",
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
        },
    ),
    "autoencoders": (
        "An autoencoder with a PixelCNN",
        "With a PixelCNN for a decoder a code holds what a picture is of, and its draws are sharp pictures that "
        "differ; with the squared error it holds what lowers that, and the decoder answers with one blurred picture.",
        {
            "l1": "mean absolute difference between faces and their (first) reconstructions, of a range of 2",
            "redraw": "mean L1 between two draws of one code over that between draws of different ones (0: alike)",
            "attributes": "share of attributes that the face network sees on the same side in a face and in what the "
            "code gives",
            "frechet_judge": "Fréchet distance of the reconstructions to the faces, as the judge sees them",
            "bits_per_dim": "-log2 p a channel of the picture given its code",
            "weights": "numbers in the network",
        },
    ),
}


def measure_variants(test: Path, folder: Path, *, limit: int | None = None, seed: int = 0) -> dict[str, Any]:
    """The rows of the variants that a folder has, measured on test pictures averaged 2x2. Beside them stand the
    variants of CSI.

    Returns n, hole, seed (of what is drawn), and the rows of every table; see `CLAIMS`. Raises WeightsError where the
    folder has none.
    """
    frames = read_pack(test, limit)
    faces = to_float(shrink(frames, SIZE))
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in CLAIMS}
    for variant in present(VARIANTS, folder):
        model = _load(variant, folder)
        trained = weights.read_metrics(variant.name, folder)["training"]["pictures_per_stage"]["1"]
        about = {"variant": variant.label, "weights": numbers(model), "pictures": trained}
        if isinstance(model, PixelCNNAutoencoder):
            rows["autoencoders"].append(about | measures.measure_autoencoder(model, faces, seed))
        elif variant == ATTRIBUTES:
            rows["attributes"] += [
                about | {"variant": _words(one)} | row for one, row in measures.measure_attributes(model, frames, seed)
            ]
        elif variant == PORTRAITS:
            rows["portraits"].append(about | measures.measure_portraits(model, frames, faces, seed))
        else:
            found = hole_bits(model, faces, hole_mask()).mean(1)
            rows["completions"].append(about | mean_and_error("bits_per_dim", found, "bits_error"))
    for other in SHOWN if rows["completions"] else ():
        rows["completions"].append(measures.measure_csi(other, faces, seed))
    return {"n": len(faces), "hole": HOLE, "seed": seed} | rows


def markdown(figures: Mapping[str, Any]) -> str:
    """The tables that there are rows for, with what is claimed and what the columns mean."""
    parts = []
    for name, (title, claim, columns) in CLAIMS.items():
        if figures[name]:
            rows = table(figures[name], ("variant", *columns))
            parts.append(f"### {title}\n\nThe claim: {claim}\n\n{rows}\n\n{meanings(columns)}\n")
    return "\n".join(parts)


def write_figures(test: Path, folder: Path, out: Path, *, seed: int = 0) -> list[Path]:
    """Contact sheets of the first test pictures, as PNG. Returns the files."""
    frames = read_pack(test, SHEET)
    faces, seeds, hole = to_float(shrink(frames, SIZE)), range(seed, seed + SHEET), hole_mask()
    sheets: dict[str, dict[str, Tensor]] = {}
    for variant in present(VARIANTS, folder):
        model = _load(variant, folder)
        if isinstance(model, PixelCNNAutoencoder):
            rows = sheets.setdefault("autoencoders", {"true": faces})
            rows[variant.label] = rebuild(model, faces, seeds)
        elif variant == ATTRIBUTES:
            sheets["attributes"] = {
                f"{_words(name)}:\nwithout, with": by_attribute(model, frames[: SHEET // 2], name, seeds).flatten(0, 1)
                for name in measures.HELD
            }
        elif variant == PORTRAITS:
            sheets["portraits"] = _portrait_rows(model, frames, faces, seeds)
        else:
            rows = sheets.setdefault("completions", {"true": faces, "masked": faces * hole})
            rows[variant.label] = draw_hole(model, faces, hole, *nothing(faces), seeds)
    files = []
    for name, rows in sheets.items():
        made = {label: to_pictures(quantise(pictures)) for label, pictures in rows.items()}
        files.append(write_sheet(made, name.capitalize(), out / f"{name}.png"))
    return files


def _portrait_rows(model: GatedPixelCNN, frames: Tensor, faces: Tensor, seeds: Sequence[int]) -> dict[str, Tensor]:
    """A row for every photo, which stands first, and one whose embeddings lead from the first photo to the second."""
    known, count = embeddings(frames), SHEET - 1
    steps = torch.linspace(0.0, 1.0, SHEET)[:, None]
    asked = torch.cat((known.repeat_interleave(count, 0), torch.lerp(known[:1], known[1:2], steps)))
    drawn = portraits(model, asked, [*seeds[1:]] * len(faces) + [seeds[0]] * SHEET)
    rows = {
        f"photo {number + 1}\nand portraits": torch.cat((face[None], drawn[number * count : (number + 1) * count]))
        for number, face in enumerate(faces)
    }
    rows["from 1 to 2"] = drawn[-SHEET:]
    return rows


def _words(name: str) -> str:
    return name.replace("_", " ").lower()


def _load(variant: PixelCNNVariant, folder: Path) -> GatedPixelCNN | PixelCNNAutoencoder:
    return weights.load_network("pixelcnn-autoencoder" if variant.bottleneck else "pixelcnn", folder, variant.name)

"""Figures of a method on held-out frames, inside the hole only."""

from __future__ import annotations

import io
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor
from tqdm import tqdm

from . import masks
from .complete import to_pictures
from .controls import load_measured
from .detector import FEWEST, c2st
from .features import distance_to_faces, face_features, face_network, frechet_distance
from .measures import WORDS
from .methods import CompletionError, load_method
from .methods.csi import CSIMethod
from .training.attributes import balanced_accuracy
from .training.data import masks_to_tensor, read_labelled, read_pack, to_float
from .weights import write_atomically

COLUMNS = (
    "mask",
    "method",
    "psnr",
    "ssim",
    "l1",
    "bits_per_dim",
    "seam",
    "diversity",
    "frechet",
    "c2st",
    "c2st_error",
    "seconds_per_image",
    "n",
)
CONTROL_COLUMNS = (
    "control",
    "hole",
    "wanted",
    "right_way",
    "unwanted",
    "unwanted_of",
    "elsewhere",
    "elsewhere_of",
    "merit",
)
DESCENTS: dict[str, dict[str, float]] = {
    "fast": {},
    "faithful": {"steps": 1000, "learned_start": 0, "optimiser": 2, "early_stop": 0},
}
SAMPLES = 4  # drawn for every picture; the figures are means over all of them
CONTACT_SHEET = 16  # pictures on a contact sheet, at most


def evaluate(
    method_name: str,
    data: str | Path,
    mask_name: str,
    *,
    limit: int | None = None,
    seed: int = 0,
    contact_sheet: Path | None = None,
    workers: int = 0,
    detect: bool = False,
    controls: Mapping[str, float] | None = None,
    options: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Fills the same hole in many frames and compares with what was there.

    Returns means over pictures and their 4 samples: psnr (dB), ssim, l1 (range of pixels: 2), bits_per_dim (for methods
    with a likelihood: -log2 p of the true hole pixels per pixel and channel, given the context, z from the posterior),
    seam (mean absolute step across the holes' lower and right edges, divided by the same for the true images; 1.0 = no
    seam), diversity (mean L1 between the samples of a picture), frechet (each picture's first sample against the true
    pictures, in the face network's features; for more pictures than it has features), seconds_per_image (of one sample,
    4 at a time), n.
    Picture k takes the seeds seed + 4 k ... seed + 4 k + 3, and for mask families with fresh masks the k-th mask.
    workers: processes of one thread each that share the pictures; 0: this process alone. detect: also c2st and
    c2st_error, how well a detector tells the fills from the true pictures (see `detector.c2st`); it takes 8 or more.
    """
    load_method(method_name)  # an unknown method is refused before the pictures are read
    frames = read_pack(data, limit).numpy()
    if detect and len(frames) < FEWEST:
        raise CompletionError(f"{len(frames)} pictures: a detector needs {FEWEST} or more, half of them to learn from")
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    jobs = [
        (method_name, frame, draw(rng), range(seed + SAMPLES * index, seed + SAMPLES * (index + 1)), controls, options)
        for index, frame in enumerate(frames)
    ]
    rows: list[dict[str, float]] = []
    sheet: list[Tensor] = []
    every: list[Tensor] = []
    for (_, frame, hole, *_), (row, fills) in zip(jobs, _shared(_figures, jobs, workers), strict=True):
        rows.append(row)
        every.append(torch.from_numpy(fills))
        if len(sheet) < CONTACT_SHEET:
            image, mask = to_float(torch.from_numpy(frame))[None], masks_to_tensor([hole])
            sheet.append(torch.cat((image * mask, image, torch.from_numpy(fills))))
    if contact_sheet is not None:
        write_contact_sheet(torch.stack(sheet), contact_sheet)
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    step, true_step = means.pop("step"), means.pop("true_step")
    means["seam"] = step / true_step if true_step else math.nan
    faces, filled = to_float(torch.from_numpy(frames)), torch.stack(every)
    means |= distance_to_faces(filled[:, 0], faces)
    if detect:
        means |= c2st(faces, filled, masks_to_tensor(hole for _, _, hole, *_ in jobs), seed)
    return {"n": len(rows)} | {key: round(value, 4) for key, value in means.items()}


def _figures(
    method_name: str,
    frame: np.ndarray,
    hole: np.ndarray,
    seeds: Sequence[int],
    controls: Mapping[str, float] | None,
    options: Mapping[str, float] | None,
) -> tuple[dict[str, float], np.ndarray]:
    """One picture's figures, and its fills (4, 3, H, W)."""
    method = load_method(method_name)
    image, mask = to_float(torch.from_numpy(frame))[None], masks_to_tensor([hole])
    began = time.perf_counter()
    *_, last = method.complete(image, mask, seeds, controls, options)
    seconds = (time.perf_counter() - began) / SAMPLES
    row = measure(image, mask, last.images) | {"seconds_per_image": seconds}
    bits = method.true_bits(image, mask, seeds[0])
    return row | ({} if bits is None else {"bits_per_dim": bits}), last.images.numpy()


def _shared(work: Callable[..., Any], jobs: Sequence[tuple], workers: int) -> Iterator[Any]:
    """What `work` makes of each job, in order; by so many processes of one thread each, or by this one."""
    if not workers:
        yield from starmap(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True), chunksize=2)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> str:
    """Rows of figures as a Markdown table; a figure that a row lacks is left blank, a column that all lack left out."""
    names = [name for name in columns if any(name in row for row in rows)]
    lines = [f"| {' | '.join(names)} |", f"|{'---|' * len(names)}"]
    lines += [f"| {' | '.join(str(row.get(name, '')) for name in names)} |" for row in rows]
    return "\n".join(lines)


def evaluate_samples(
    method_name: str,
    data: str | Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    contact_sheet: Path | None = None,
) -> dict[str, Any]:
    """How far pictures drawn from a method's prior are from faces, in the face network's features.

    Returns frechet (as many drawn pictures as faces, against the faces), floor (one half of the faces against the
    other), floor_n and n. Raises CompletionError for a method that draws no pictures.
    """
    faces = to_float(read_pack(data, limit))
    drawn = load_method(method_name).sample(len(faces), seed)
    if contact_sheet is not None:
        rows = drawn[: min(64, len(drawn) // 8 * 8)]
        write_contact_sheet(rows.unflatten(0, (-1, 8)), contact_sheet)
    real = face_features(faces)
    floor = frechet_distance(real[::2], real[1::2])
    distance = frechet_distance(face_features(drawn), real)
    return {"n": len(faces), "frechet": round(distance, 3), "floor": round(floor, 3), "floor_n": len(real) // 2}


def evaluate_descent(
    data: str | Path, mask_name: str = "center", *, limit: int | None = None, seed: int = 0
) -> dict[str, Any]:
    """DCGAN's fast search for z against the faithful one: final loss and seconds, mean over faces, one sample each.

    The searches are those of `DESCENTS`; loss_ratio and time_ratio: the fast one's mean over the faithful one's;
    no_higher: the share of faces on which the fast one ends no higher.
    """
    method = load_method("dcgan")
    frames = to_float(read_pack(data, limit))
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    losses: dict[str, list[float]] = {name: [] for name in DESCENTS}
    seconds: dict[str, list[float]] = {name: [] for name in DESCENTS}
    for index, image in enumerate(frames.split(1)):
        mask = masks_to_tensor([draw(rng)])
        for name, options in DESCENTS.items():
            *_, last = method.complete(image, mask, (seed + index,), options=options)
            losses[name].append(last.info["figures"][0]["loss"])
            seconds[name].append(last.info["seconds"])
    figures: dict[str, Any] = {"n": len(frames), "searches": {name: dict(DESCENTS[name]) for name in DESCENTS}}
    for name in DESCENTS:
        figures[name] = {
            "loss": round(float(np.mean(losses[name])), 3),
            "seconds": round(float(np.mean(seconds[name])), 3),
        }
    fast, faithful = "fast", "faithful"
    figures["loss_ratio"] = round(float(np.mean(losses[fast]) / np.mean(losses[faithful])), 4)
    figures["time_ratio"] = round(float(np.mean(seconds[fast]) / np.mean(seconds[faithful])), 4)
    figures["no_higher"] = round(float(np.mean(np.array(losses[fast]) <= np.array(losses[faithful]))), 3)
    return figures


def evaluate_attributes(data: str | Path, *, limit: int | None = None) -> dict[str, Any]:
    """Balanced accuracy of the face network on a pack with attributes: mean, and by attribute."""
    labelled = read_labelled(data)
    frames, labels = labelled.frames[:limit], labelled.labels[:limit]
    network = face_network()
    with torch.inference_mode():
        logits = torch.cat([network(to_float(part)) for part in frames.split(100)])
    accuracy = balanced_accuracy(logits, labels)
    by_name = {name: round(float(value), 4) for name, value in zip(labelled.names, accuracy, strict=True)}
    return {"n": len(frames), "balanced_accuracy": round(float(accuracy.mean()), 4), "by_attribute": by_name}


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


def measure(image: Tensor, mask: Tensor, fills: Tensor) -> dict[str, float]:
    """Figures of fills (n, 3, H, W), n > 1, against the true image (1, 3, H, W), in the hole; step: see `edge_step`."""
    hole = mask[0, 0] < 0.5
    error = (fills - image)[:, :, hole]
    apart = [(fills[a] - fills[b])[:, hole].abs().mean() for a in range(len(fills)) for b in range(a)]
    squared = error.square().mean((1, 2))
    return {
        "psnr": float((10.0 * torch.log10(4.0 / squared.clamp(min=1e-10))).mean()),
        "ssim": float(np.mean([_ssim(image[0], fill, hole) for fill in fills])),
        "l1": float(error.abs().mean()),
        "step": edge_step(mask, fills),
        "true_step": edge_step(mask, image),
        "diversity": float(torch.stack(apart).mean()),
    }


def _ssim(image: Tensor, fill: Tensor, hole: Tensor) -> float:
    _, values = structural_similarity(
        image.permute(1, 2, 0).numpy(), fill.permute(1, 2, 0).numpy(), channel_axis=2, data_range=2.0, full=True
    )
    return float(values[hole.numpy()].mean())


def edge_step(mask: Tensor, images: Tensor) -> float:
    """Mean absolute step across the hole's lower and right edges inside the frame; 0 where it has none."""
    hole = mask[0, 0] < 0.5
    lower, right = hole[:-1] & ~hole[1:], hole[:, :-1] & ~hole[:, 1:]
    down = (images[:, :, 1:] - images[:, :, :-1]).abs()[:, :, lower]
    across = (images[..., 1:] - images[..., :-1]).abs()[:, :, right]
    steps = torch.cat((down, across), 2)
    return float(steps.mean()) if steps.numel() else 0.0


def write_contact_sheet(rows: Tensor, file: Path) -> None:
    """Writes pictures (rows, columns, 3, H, W) as one PNG, twice enlarged: masked, true, then the samples."""
    grid = torch.nn.functional.pad(rows, (1, 1, 1, 1), value=1.0)
    picture = to_pictures(grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)[None])[0]
    stored = io.BytesIO()
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST).save(stored, format="PNG")
    write_atomically(file, stored.getvalue())

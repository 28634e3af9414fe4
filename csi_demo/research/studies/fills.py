"""Figures of a method on held-out frames, inside the hole only."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import masks
from ...data import read_pack
from ...methods import load_method
from ...photo import sheets
from ...pixels import masks_to_tensor, png, to_float
from ...weights import write_atomically
from ..metrics.features import face_network, judge_network
from ..metrics.frechet import distance_to_faces
from ..metrics.inside import measure
from .shared import shared

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
    controls: Mapping[str, float] | None = None,
    options: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """Fills the same hole in many frames and compares with what was there.

    Returns means over pictures and their 4 samples: psnr (dB), ssim, l1 (range of pixels: 2), colour (mean distance in
    a* and b* of CIELAB), bits_per_dim (for methods with a likelihood: -log2 p of the true hole pixels per pixel and
    channel, given the context, z from the posterior),
    seam (mean absolute step across the holes' lower and right edges, divided by the same for the true images; 1.0 = no
    seam), sharpness (mean absolute difference of neighbouring pixels inside the hole, divided by the same for the true
    images; 1.0 = as crisp), diversity (mean L1 between the samples of a picture), frechet and frechet_judge (each
    picture's first sample against the true pictures, in the features of the face network and of the judge, which no
    training saw; for more pictures than they have features), seconds_per_image (of one sample, 4 at a time), n.
    Picture k takes the seeds seed + 4 k ... seed + 4 k + 3, and for mask families with fresh masks the k-th mask.
    workers: processes of one thread each that share the pictures; 0: this process alone.
    """
    load_method(method_name)  # an unknown method is refused before the pictures are read
    frames = read_pack(data, limit).numpy()
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    jobs = [
        (method_name, frame, draw(rng), range(seed + SAMPLES * index, seed + SAMPLES * (index + 1)), controls, options)
        for index, frame in enumerate(frames)
    ]
    rows: list[dict[str, float]] = []
    sheet: list[Tensor] = []
    every: list[Tensor] = []
    for (_, frame, hole, *_), (row, fills) in zip(jobs, shared(_figures, jobs, workers), strict=True):
        rows.append(row)
        every.append(torch.from_numpy(fills))
        if len(sheet) < CONTACT_SHEET:
            image, mask = to_float(torch.from_numpy(frame))[None], masks_to_tensor([hole])
            sheet.append(torch.cat((image * mask, image, torch.from_numpy(fills))))
    if contact_sheet is not None:
        write_atomically(contact_sheet, png(sheets.contact_sheet(torch.stack(sheet))))
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    for name, part in (("seam", "step"), ("sharpness", "rough")):
        drawn, true = means.pop(part), means.pop(f"true_{part}")
        means[name] = drawn / true if true else math.nan
    faces, filled = to_float(torch.from_numpy(frames)), torch.stack(every)
    for name, network in (("frechet", face_network()), ("frechet_judge", judge_network())):
        if (distance := distance_to_faces(filled[:, 0], faces, network)) is not None:
            means[name] = distance
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

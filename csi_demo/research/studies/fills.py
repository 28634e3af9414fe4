"""Figures of a method on held-out frames, inside the hole only."""

from __future__ import annotations

import time
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
from ..metrics.inside import measure
from .shared import Study, means_of, shared

SAMPLES = 4  # drawn for every picture; the figures are means over all of them
CONTACT_SHEET = 16  # pictures on a contact sheet, at most


def evaluate(study: Study) -> dict[str, Any]:
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
    """
    load_method(study.method)  # an unknown method is refused before the pictures are read
    frames = read_pack(study.data, study.limit).numpy()
    rng, draw = np.random.default_rng(study.seed), masks.sampler(study.mask)
    jobs = [(study, frame, draw(rng), study.seed + SAMPLES * index) for index, frame in enumerate(frames)]
    rows: list[dict[str, float]] = []
    sheet: list[Tensor] = []
    firsts: list[Tensor] = []
    for (_, frame, hole, _), (row, fills) in zip(jobs, shared(_figures, jobs, study.workers), strict=True):
        rows.append(row)
        firsts.append(torch.from_numpy(fills[0]))
        if len(sheet) < CONTACT_SHEET:
            image, mask = to_float(torch.from_numpy(frame))[None], masks_to_tensor([hole])
            sheet.append(torch.cat((image * mask, image, torch.from_numpy(fills))))
    if study.contact_sheet is not None:
        write_atomically(study.contact_sheet, png(sheets.contact_sheet(torch.stack(sheet))))
    return {"n": len(rows)} | means_of(rows, torch.stack(firsts), to_float(torch.from_numpy(frames)))


def _figures(study: Study, frame: np.ndarray, hole: np.ndarray, seed: int) -> tuple[dict[str, float], np.ndarray]:
    """One picture's figures, and its fills (4, 3, H, W)."""
    method = load_method(study.method)
    image, mask = to_float(torch.from_numpy(frame))[None], masks_to_tensor([hole])
    began = time.perf_counter()
    *_, last = method.complete(image, mask, range(seed, seed + SAMPLES), study.controls, study.options)
    seconds = (time.perf_counter() - began) / SAMPLES
    row = measure(image, mask, last.images) | {"seconds_per_image": seconds}
    bits = method.true_bits(image, mask, seed)
    return row | ({} if bits is None else {"bits_per_dim": bits}), last.images.numpy()

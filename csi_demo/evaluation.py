"""Figures of a method on held-out frames, inside the hole only."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage.metrics import structural_similarity
from torch import Tensor

from . import masks
from .complete import to_pictures
from .methods import load_method
from .training.data import masks_to_tensor, read_pack, to_float
from .weights import write_atomically

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
) -> dict[str, Any]:
    """Fills the same hole in many frames and compares with what was there.

    Returns means over pictures and their 4 samples: psnr (dB), ssim, l1 (range of pixels: 2), bits_per_dim (for methods
    with a likelihood: -log2 p of the true hole pixels per pixel and channel, given the context, z from the posterior),
    seam (mean absolute step across the holes' lower and right edges, divided by the same for the true images; 1.0 = no
    seam), diversity (mean L1 between the samples of a picture), seconds_per_image (of one sample, 4 at a time), n.
    Picture k takes the seeds seed + 4 k ... seed + 4 k + 3, and for mask families with fresh masks the k-th mask.
    """
    method = load_method(method_name)
    frames = to_float(read_pack(data, limit))
    rng, draw = np.random.default_rng(seed), masks.sampler(mask_name)
    holes = masks_to_tensor(draw(rng) for _ in range(len(frames)))
    rows: list[dict[str, float]] = []
    sheet: list[Tensor] = []
    for index, (image, mask) in enumerate(zip(frames.split(1), holes.split(1), strict=True)):
        seeds = range(seed + SAMPLES * index, seed + SAMPLES * (index + 1))
        began = time.perf_counter()
        *_, last = method.complete(image, mask, seeds)
        row = measure(image, mask, last.images)
        row["seconds_per_image"] = (time.perf_counter() - began) / SAMPLES
        bits = method.true_bits(image, mask, seeds[0])
        if bits is not None:
            row["bits_per_dim"] = bits
        rows.append(row)
        if len(sheet) < CONTACT_SHEET:
            sheet.append(torch.cat((image * mask, image, last.images)))
    if contact_sheet is not None:
        write_contact_sheet(torch.stack(sheet), contact_sheet)
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    step, true_step = means.pop("step"), means.pop("true_step")
    means["seam"] = step / true_step if true_step else math.nan
    return {"n": len(rows)} | {key: round(value, 4) for key, value in means.items()}


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

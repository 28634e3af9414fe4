"""What is measured of small variants, of CSI above all, on test faces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .... import masks
from ....methods.small_csi import SIZE, draw, infer, normal
from ....models.csi import CSI
from ....pixels import FRAME, masks_to_tensor
from ...metrics.features import face_network, judge_network
from ...metrics.frechet import distance_to_faces
from ...metrics.posterior import kl_decomposition, mmd
from ...metrics.seam import edge_step

BATCH = 100  # pictures that are measured at once
REDRAWS = 4  # of every picture, for how much draws differ
ROUGH = 4  # side of the corner of the hole, in pixels
HOLE = "center"
PRIOR_SEED = 2**40  # beyond the seeds of the pixel noise


def measure_latents(model: CSI, images: Tensor, seed: int) -> dict[str, float]:
    """Figures of a model of stage 1 on pictures (N, 3, 32, 32), all of them visible to the encoder; see `COLUMNS`."""
    mean, sigma = infer_all(model, images, torch.ones_like(images[:1, :1]))
    z = mean + sigma * normal(range(seed, seed + len(images)), mean.shape[1])
    hidden = torch.zeros_like(images[:1, :1])  # to the PixelCNN
    draws = reconstructions(model, images[:BATCH], REDRAWS, seed)
    others = (draws[0] - draws[0].roll(1, 0)).abs().mean()
    parts = kl_decomposition(z, mean, 2.0 * sigma.log(), 1)
    spreads = {"spread": z.std(0).mean(), "mean_spread": mean.std(0).mean(), "sigma": sigma.mean()}
    prior = normal(range(PRIOR_SEED, PRIOR_SEED + len(z)), z.shape[1])
    values = {"redraw": _apart(draws) / others} | parts | spreads | {"mmd": mmd(z, prior)}
    bits = true_bits(model, images, hidden, z).mean()
    return {name: round(float(value), 4) for name, value in ({"bits_per_dim": bits} | values).items()}


def reconstructions(model: CSI, images: Tensor, count: int, seed: int) -> Tensor:
    """Whole pictures drawn from latents of their originals (n, 3, H, W): (count, n, 3, H, W), all noise fresh."""
    mean, sigma = infer(model, images, torch.ones_like(images[:, :1]))
    hidden = torch.zeros_like(images[:, :1])
    return torch.stack(
        [
            draw(model, images, hidden, mean + sigma * normal(seeds, mean.shape[1]), seeds)
            for seeds in _seeds(seed, count, len(images))
        ]
    )


def measure_fills(model: CSI, images: Tensor, seed: int) -> tuple[dict[str, float], Tensor]:
    """Figures of a finished model's fills of the hole of pictures (N, 3, 32, 32), see `COLUMNS`, and the bits per dim
    (N, P) of every picture's hole pixels."""
    mask = hole_mask()
    mean, sigma = infer_all(model, images, mask)
    z = mean + sigma * normal(range(seed, seed + len(images)), mean.shape[1])
    bits = true_bits(model, images, mask, z)
    inferred = draw_all(model, images, mask, z, range(seed, seed + len(images)))
    steps, true_steps = (
        np.array([edge_step(mask, one) for one in some.split(1)], dtype=float) for some in (inferred, images)
    )
    seam = steps.mean() / true_steps.mean()
    error = (steps - seam * true_steps).std(ddof=1) / true_steps.mean() / len(images) ** 0.5
    fresh = prior_fills(model, images, REDRAWS, seed, keep_noise=False)
    figures = mean_and_error("bits_per_dim", bits.mean(1), "bits_error") | {"seam": seam, "seam_error": error}
    hole = mask[0, 0] < 0.5
    figures["diversity"] = _apart(fresh[..., hole])
    if model.config.latent_dim:
        figures["control"] = _apart(prior_fills(model, images, REDRAWS, seed, keep_noise=True)[..., hole])
    for name, fills in (("corner", fresh.flatten(0, 1)), ("corner_inferred", inferred)):
        figures[name] = roughness(fills, corner(mask)) / roughness(images, corner(mask))
    rest = hole & ~corner(mask)
    figures["elsewhere"] = roughness(fresh.flatten(0, 1), rest) / roughness(images, rest)
    reach = {"reach": model.forward_stream.reach[0]}
    return reach | {name: round(float(value), 4) for name, value in figures.items()}, bits


def prior_fills(model: CSI, images: Tensor, count: int, seed: int, *, keep_noise: bool) -> Tensor:
    """The hole of each picture (n, 3, H, W) filled with latents drawn from the prior: (count, n, 3, H, W).

    keep_noise: all draws of a picture share its pixel noise.
    """
    every = _seeds(seed, count, len(images))
    latents = model.config.latent_dim
    return torch.stack(
        [
            draw_all(
                model,
                images,
                hole_mask(),
                normal([PRIOR_SEED + one for one in seeds], latents),
                every[0] if keep_noise else seeds,
            )
            for seeds in every
        ]
    )


def corner(mask: Tensor) -> Tensor:
    """The hole's last `ROUGH` rows and columns: mask (1, 1, H, W) of a rectangular hole to boolean (H, W)."""
    hole = mask[0, 0] < 0.5
    row, column = (int(places.max()) + 1 for places in hole.nonzero(as_tuple=True))
    found = torch.zeros_like(hole)
    found[row - ROUGH : row, column - ROUGH : column] = True
    return found


def last_edges(mask: Tensor) -> Tensor:
    """Which of the P pixels of a rectangular hole (1, 1, H, W) are in its last row or column: boolean (P,)."""
    rows, columns = (mask[0, 0] < 0.5).nonzero(as_tuple=True)
    return (rows == rows.max()) | (columns == columns.max())


def roughness(images: Tensor, where: Tensor) -> float:
    """Mean absolute second difference, across and down, of pictures (n, 3, H, W) at the pixels (H, W)."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    across = padded[:, :, 1:-1, :-2] + padded[:, :, 1:-1, 2:] - 2.0 * images
    down = padded[:, :, :-2, 1:-1] + padded[:, :, 2:, 1:-1] - 2.0 * images
    return float((across.abs() + down.abs())[:, :, where].mean() / 2.0)


def hole_mask() -> Tensor:
    return masks_to_tensor([masks.family(HOLE, SIZE)])


def _seeds(seed: int, count: int, pictures: int) -> list[range]:
    """Seeds of so many draws of every picture, no two alike."""
    return [range(seed + index * pictures, seed + (index + 1) * pictures) for index in range(count)]


def infer_all(model: CSI, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """`infer` in batches; mask: (1, 1, H, W)."""
    parts = [infer(model, some, mask.expand(len(some), -1, -1, -1)) for some in images.split(BATCH)]
    mean, sigma = (torch.cat(some) for some in zip(*parts, strict=True))
    return mean, sigma


def draw_all(model: CSI, images: Tensor, mask: Tensor, z: Tensor, seeds: Sequence[int]) -> Tensor:
    """`draw` in batches; mask: (1, 1, H, W)."""
    fills = [
        draw(model, some, mask.expand(len(some), -1, -1, -1), its, seeds[start : start + len(some)])
        for start, some, its in zip(range(0, len(images), BATCH), images.split(BATCH), z.split(BATCH), strict=True)
    ]
    return torch.cat(fills)


@torch.inference_mode()
def true_bits(model: CSI, images: Tensor, mask: Tensor, z: Tensor) -> Tensor:
    """-log2 p a channel of the P true pixels of the hole (1, 1, H, W): (N, P)."""
    found = []
    for some, latents in zip(images.split(BATCH), z.split(BATCH), strict=True):
        masks, config = mask.expand(len(some), -1, -1, -1), model.config
        maps = model.decode(latents) if config.latent_dim else None
        nll = model.pixel_nll(some, maps, masks)
        found.append(nll[:, mask[0, 0] < 0.5] / (3.0 * math.log(2.0)))
    return torch.cat(found)


def _apart(draws: Tensor) -> float:
    """Mean L1 between two draws of a picture; draws: (draws, pictures, ...)."""
    pairs = [(draws[a] - draws[b]).abs().mean() for a in range(len(draws)) for b in range(a)]
    return float(torch.stack(pairs).mean())


def mean_and_error(name: str, values: Tensor, error: str = "") -> dict[str, float]:
    """The mean of a figure of every picture, and its standard error."""
    spread = float(values.std()) / len(values) ** 0.5
    return {name: round(float(values.mean()), 4), error or f"{name}_error": round(spread, 4)}


def enlarged(pictures: Tensor) -> Tensor:
    """(N, 3, 32, 32) as the face networks see them, (N, 3, 64, 64)."""
    return F.interpolate(pictures, size=FRAME, mode="bilinear")


def distances(drawn: Tensor, faces: Tensor) -> dict[str, float]:
    """Fréchet distances by name, where there are pictures enough; both (N, 3, 32, 32)."""
    networks = {"frechet": face_network(), "frechet_judge": judge_network()}
    found = {name: distance_to_faces(enlarged(drawn), enlarged(faces), one) for name, one in networks.items()}
    return {name: round(value, 3) for name, value in found.items() if value is not None}

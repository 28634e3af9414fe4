"""Four small CSIs for 32x32 pictures, each without a part of the method: what the page shows side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .. import weights
from ..models import logistic_mixture
from ..models.csi import CSI
from ..pixels import FRAME, mask_to_tensor, to_pictures, to_tensor
from ..sampling.base import frozen_noise
from .base import keep_observed
from .csi.drawing import Drawing

FOLDER = "ablations"  # of the weights
SIZE = 32
TRUNCATION = 2.0  # scales that a drawn channel strays from its mean, at most


@dataclass(frozen=True)
class SmallModel:
    """name: in the weights; text: one line for visitors, "" where the page does not show it."""

    name: str
    label: str
    text: str = ""


TWO_STAGE = SmallModel(
    "two-stage",
    "Two stages",
    "The whole method: first the latents learn whole faces, then both PixelCNN streams learn holes.",
)
ONE_STAGE = SmallModel(
    "one-stage", "One stage", "The same network trained on holes at once: its latents have less to say."
)
FORWARD_ONLY = SmallModel(
    "forward-only",
    "No reverse stream",
    "Nothing tells a pixel what is visible below it and to its right: expect a line at these edges.",
)
NO_LATENTS = SmallModel(
    "no-latents",
    "No latents",
    "Both PixelCNN streams alone: details fit, but nothing plans the face, and nothing can be steered.",
)
SHOWN = (TWO_STAGE, ONE_STAGE, FORWARD_ONLY, NO_LATENTS)


def model_name(name: str, folder: Path | None) -> str:
    """A variant's name in the manifest of a folder of variants, or, for None, of the weights."""
    return name if folder else f"{FOLDER}/{name}"


def load(name: str, folder: Path | None = None) -> CSI:
    """A trained variant from a folder of variants; None: from those that the page shows. Raises WeightsError."""
    return weights.load_network("csi", folder, model_name(name, folder))


def infer(model: CSI, images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n, z) of the latents; images: (n, 3, H, W), masks: (n, 1, H, W)."""
    if not model.config.latent_dim:
        return images.new_zeros(len(images), 0), images.new_zeros(len(images), 0)
    posterior = Drawing(model, images.dtype).infer(images, masks)
    return posterior.mean, posterior.sigma


def draw(model: CSI, images: Tensor, masks: Tensor, z: Tensor, seeds: Sequence[int]) -> Tensor:
    """Draws every picture's hole with its own latents (n, z) and the pixel noise of its own seed: (n, 3, H, W)."""
    drawing, (height, width) = Drawing(model, images.dtype), images.shape[2:]
    fills = []
    for image, mask, latents, seed in zip(images.split(1), masks.split(1), z.split(1), seeds, strict=True):
        noise = frozen_noise(model, (seed,), height, width, TRUNCATION)
        *_, (drawn, _, _) = drawing.fill(drawing.observe(image, mask), drawing.maps(latents), noise)
        fills.append(keep_observed(image, mask, drawn))
    return torch.cat(fills)


def normal(seeds: Sequence[int], latents: int) -> Tensor:
    """Standard normal noise (n, latents), row k from seeds[k] alone."""
    rows = [torch.randn(latents, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack(rows)


def halve(mask: np.ndarray) -> np.ndarray:
    """A mask (64, 64), True = observed, for the frame averaged 2x2: observed where all four pixels are."""
    cells = SIZE, FRAME // SIZE, SIZE, FRAME // SIZE
    return np.asarray(mask.reshape(cells).all((1, 3)))


def small_frame(frame: Image.Image) -> Image.Image:
    """A 64x64 frame averaged 2x2."""
    return frame.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BOX)


def fill_shown(frame: Image.Image, mask: np.ndarray, seed: int) -> list[tuple[SmallModel, Image.Image]]:
    """The hole of a 64x64 frame, averaged 2x2, filled by each of the four: 32x32 pictures.

    mask: boolean (64, 64), True = observed. Latents come from the posterior; all variants share the pixel noise. Raises
    WeightsError.
    """
    small = small_frame(frame)
    image, hole = to_tensor(small), mask_to_tensor(halve(mask))
    fills = []
    for variant in SHOWN:
        model = loaded(variant.name)
        mean, sigma = infer(model, image, hole)
        z = mean + sigma * normal((seed,), model.config.latent_dim)
        fills.append((variant, to_pictures(logistic_mixture.quantise(draw(model, image, hole, z, (seed,))))[0]))
    return fills


def shown_available() -> bool:
    """Whether all variants that the page shows are among the weights."""
    return all(weights.available(model_name(variant.name, None)) for variant in SHOWN)


@lru_cache(len(SHOWN))
def loaded(name: str) -> CSI:
    """One of the page's variants, kept. Raises WeightsError."""
    return load(name)

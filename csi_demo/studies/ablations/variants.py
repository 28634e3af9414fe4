"""Variants of a small CSI for 32x32 pictures, on which the paper's claims are tested: what they are, their fills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ... import weights
from ...methods.base import keep_observed
from ...methods.csi.drawing import Drawing
from ...models import logistic_mixture
from ...models.csi import CSI, CSIConfig
from ...pixels import FRAME, mask_to_tensor, to_pictures, to_tensor
from ...sampling.base import frozen_noise

FOLDER = "ablations"  # of the weights that the page shows
SIZE = 32
TRUNCATION = 2.0  # scales that a drawn channel strays from its mean, at most
SMALL: dict[str, Any] = {
    "image_size": SIZE,
    "latent_dim": 32,
    "posterior_rank": 0,
    "decoder_channels": (),
    "resized_steps": 0,
    "encoder_channels": (16, 24, 24),
    "bottleneck": 32,
    "map_channels": 8,
    "filters": 20,
    "blocks": 3,
    "mixtures": 5,
}


@dataclass(frozen=True)
class Variant:
    """config: what differs from `SMALL`. start: the variant whose finished stage 1 it goes on from. scratch: stage 2 is
    all its training, and has the pictures of both. one_stage: as `CSISettings` has it."""

    name: str
    label: str
    text: str = ""  # one line for visitors; "" where the page does not show it
    config: Mapping[str, Any] = field(default_factory=dict)
    stages: tuple[int, ...] = (1, 2)
    start: str = ""
    scratch: bool = False
    one_stage: bool = False


OBJECTIVES = tuple(
    Variant(objective, label, config={"objective": objective, "reverse_stream": False}, stages=(1,))
    for objective, label in (
        ("vae", "VAE"),
        ("beta-tcvae", "β-TCVAE"),
        ("info-beta-tcvae", "Info-β-TCVAE"),
        ("mmd", "InfoVAE-MMD"),
    )
)
TWO_STAGE = Variant(
    "two-stage",
    "Two stages",
    "The whole method: first the latents learn whole faces, then both PixelCNN streams learn holes.",
    stages=(2,),
    start="mmd",
)
ONE_STAGE = Variant(
    "one-stage",
    "One stage",
    "The same network trained on holes at once: its latents have less to say.",
    stages=(2,),
    scratch=True,
    one_stage=True,
)
FORWARD_ONLY = Variant(
    "forward-only",
    "No reverse stream",
    "Nothing tells a pixel what is visible below it and to its right: expect a line at these edges.",
    {"reverse_stream": False},
    stages=(2,),
    start="mmd",
)
NO_LATENTS = Variant(
    "no-latents",
    "No latents",
    "Both PixelCNN streams alone: details fit, but nothing plans the face, and nothing can be steered.",
    {"latent_dim": 0},
    stages=(2,),
    scratch=True,
)
BLOCKS_1 = Variant("blocks-1", "1 block", config={"blocks": 1})
BLOCKS_5 = Variant("blocks-5", "5 blocks", config={"blocks": 5})
VARIANTS = (*OBJECTIVES, TWO_STAGE, FORWARD_ONLY, ONE_STAGE, NO_LATENTS, BLOCKS_1, BLOCKS_5)
SHOWN = (TWO_STAGE, ONE_STAGE, FORWARD_ONLY, NO_LATENTS)  # on the page; their weights ship


def config_of(variant: Variant) -> CSIConfig:
    """The model of a variant."""
    return CSIConfig(**(SMALL | dict(variant.config)))


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


def fill_shown(frame: Image.Image, mask: np.ndarray, seed: int) -> list[tuple[Variant, Image.Image]]:
    """The hole of a 64x64 frame, averaged 2x2, filled by every variant that the page shows: 32x32 pictures.

    mask: boolean (64, 64), True = observed. Latents come from the posterior; all variants share the pixel noise. Raises
    WeightsError.
    """
    small = small_frame(frame)
    image, hole = to_tensor(small), mask_to_tensor(halve(mask))
    fills = []
    for variant in SHOWN:
        model = _loaded(variant.name)
        mean, sigma = infer(model, image, hole)
        z = mean + sigma * normal((seed,), model.config.latent_dim)
        fills.append((variant, to_pictures(logistic_mixture.quantise(draw(model, image, hole, z, (seed,))))[0]))
    return fills


def shown_available() -> bool:
    """Whether all variants that the page shows are among the weights."""
    return all(weights.available(model_name(variant.name, None)) for variant in SHOWN)


@lru_cache(len(SHOWN))
def _loaded(name: str) -> CSI:
    return load(name)

"""CSI completion: latents inferred from the context or set by the visitor, pixels drawn by a bidirectional PixelCNN."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..models import logistic_mixture
from ..models.csi import CSI, CSIConfig
from ..sampling import frozen_noise, sample_pixels, to_precision
from .base import Control, Method, Step, keep_observed

LIMIT = 3.0  # of a latent's value; the prior's standard deviation is 1
TRUNCATION = 2.0  # between the smoothness of the paper's 1 and the slips of the untruncated distribution
LATENT_SEED_OFFSET = 2**62  # latent noise and pixel noise of a seed come from different generators


def _latent_control(index: int, strength: float | None) -> Control:
    text = "In standard deviations of its prior."
    if strength is not None:
        text = f"From -2.5 to 2.5 it moves the hole's pixels by {strength:.2f} of 2."
    return Control(f"z{index}", f"z{index}", -LIMIT, LIMIT, None, text)


class CSIMethod(Method):
    name = "csi"
    label = "CSI"
    description = "Latent sliders decide what appears, the observed pixels decide how it fits (Xu and Teh 2018)."
    options = (
        Control(
            "spread",
            "Latent spread",
            0.0,
            10.0,
            1.0,
            "0: the likeliest latents; 1: drawn from the posterior; more: more variety than the model believes in.",
            step=0.5,
        ),
        Control(
            "truncation",
            "Detail",
            0.1,
            8.0,
            TRUNCATION,
            "How far a pixel may stray from its mean, in scales: less is smoother, more brings detail and slips. "
            "The paper's is 1.",
        ),
    )

    def __init__(self, precision: torch.dtype = torch.float64):
        """precision: of the streams. float64 keeps a sample free of the batch it is drawn in; float32 is faster."""
        self.precision = precision
        self.config = CSIConfig(**weights.load_config("csi"))
        self.model = weights.load_into("csi", CSI(self.config))
        to_precision(self.model, precision)
        measured = weights.load_json("csi", "latents.json") or {"latents": []}
        strengths = {entry["index"]: entry["strength"] for entry in measured["latents"]}
        ranked = sorted(range(self.config.latent_dim), key=lambda index: -strengths.get(index, 0.0))
        self._latents = tuple(_latent_control(index, strengths.get(index)) for index in ranked)

    @property
    def controls(self) -> tuple[Control, ...]:
        return self._latents

    @torch.inference_mode()
    def infer(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (1, z) of the latents given the context."""
        generator = torch.Generator().manual_seed(0)  # the encoder's fill of the hole: the same for every seed
        noise = torch.rand(image.shape, generator=generator) * 2.0 - 1.0
        mean, log_variance = self.model.encode(image, mask, noise)
        return mean, torch.exp(0.5 * log_variance)

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        mean, _ = self.infer(image, mask)
        return {f"z{index}": max(-LIMIT, min(LIMIT, value)) for index, value in enumerate(mean[0].tolist())}

    @torch.inference_mode()
    def latents(
        self, image: Tensor, mask: Tensor, seeds: Sequence[int], controls: Mapping[str, float], spread: float
    ) -> Tensor:
        """Latents (n, z): drawn from the posterior with each seed's own noise, then overwritten by the controls."""
        mean, sigma = self.infer(image, mask)
        rows = []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed ^ LATENT_SEED_OFFSET)
            eps = torch.randn(mean.shape, generator=generator)
            rows.append(mean + spread * sigma * eps)
        z = torch.cat(rows)
        for name, value in controls.items():
            z[:, int(name[1:])] = value
        return z

    def _complete(
        self,
        image: Tensor,
        mask: Tensor,
        seeds: tuple[int, ...],
        controls: dict[str, float],
        options: dict[str, float],
    ) -> Iterator[Step]:
        began = time.perf_counter()
        yield Step(keep_observed(image, mask, torch.zeros_like(image)).expand(len(seeds), -1, -1, -1), 0.0)
        z = self.latents(image, mask, seeds, controls, options["spread"])
        for images, progress, bits in self.fill(image, mask, z, seeds, options["truncation"]):
            info: dict[str, Any] = {}
            if bits is not None:
                figures = [{"bits per dim": value} for value in bits.tolist()]
                info = {"seconds": time.perf_counter() - began, "figures": figures, "bits_per_dim": bits.tolist()}
            yield Step(images, progress, info)

    @torch.inference_mode()
    def fill(
        self, image: Tensor, mask: Tensor, z: Tensor, seeds: Sequence[int], truncation: float = TRUNCATION
    ) -> Iterator[tuple[Tensor, float, Tensor | None]]:
        """Draws the hole once for every row of latents (n, z), with the pixel noise of seeds[k].

        Yields pictures (n, 3, H, W), progress and, on the last step, the bits per dim (n,) of what was drawn.
        """
        x, masks, biases = self._conditions(image, mask, z)
        height, width = image.shape[2:]
        noise = frozen_noise(self.model, seeds, height, width, truncation).to(self.precision)
        for drawn, progress in sample_pixels(self.model, x, masks, biases, noise):
            bits = hole_bits(self.model, drawn, masks, biases) if progress == 1.0 else None
            yield keep_observed(image, mask, drawn.to(image.dtype)), progress, bits

    @torch.inference_mode()
    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float:
        z = self.latents(image, mask, (seed,), {}, 1.0)
        return float(hole_bits(self.model, *self._conditions(image, mask, z)))

    def _conditions(self, image: Tensor, mask: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Image and mask once for every row of latents, and what conditions the forward stream.

        Every row is decoded alone, so that a sample does not depend on the batch it was drawn in.
        """
        x, masks = logistic_mixture.quantise(image.to(self.precision)), mask.to(self.precision)
        maps = torch.cat([self.model.decode(row[None]) for row in z]).to(self.precision)
        context = self.model.context_features(x, masks) if self.config.reverse_stream else None
        x, masks = (tensor.expand(len(z), -1, -1, -1) for tensor in (x, masks))
        if context is not None:
            context = context.expand(len(z), -1, -1, -1)
        return x, masks, self.model.biases(maps, masks, context)


def hole_bits(model: CSI, x: Tensor, mask: Tensor, biases: Tensor | None) -> Tensor:
    """-log2 p per hole pixel and channel of every picture (n, 3, H, W), given its context: (n,)."""
    params = model.logits(x, biases).permute(0, 2, 3, 1)
    nll = -logistic_mixture.log_prob(x.permute(0, 2, 3, 1), params)
    hole = 1.0 - mask[:, 0]
    return (nll * hole).sum((1, 2)) / (hole.sum((1, 2)) * 3.0 * math.log(2.0))

"""CSI completion: latents inferred from the context or set by the visitor, pixels drawn by a bidirectional PixelCNN."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from ... import weights
from ...models.csi import CSI
from ...sampling.base import frozen_noise
from ...sampling.compiled import code
from ..base import Control, Method, Step, Task, keep_observed
from ..recent import KEPT, Recent
from . import beyond
from .controls import aims, from_measured, load_measured
from .paper import PaperCSI, Prediction

GRID = 1024.0  # drawn latents are multiples of its inverse: rounding errors of a machine are gone by that
DEFAULT_TRUNCATION = 2.5  # between the smoothness of the paper's 1 and the slips of the untruncated distribution
DEFAULT_GUIDANCE = 40.0  # more is crisper, but takes its grain from the decoder instead of the photo
DEFAULT_SPREAD = 0.9  # of the posterior's noise
HOTTEST = 18.0  # bits of a pixel's uncertainty that are white in the heat map; 24 would be no idea at all
SURPRISE = 1.3  # of the posterior's noise, to be surprised
LATENT_SEED_OFFSET = 2**62  # latent noise and pixel noise of a seed come from different generators


def _noise(model: CSI, seed: int, height: int, width: int, truncation: float) -> Tensor:
    return frozen_noise(model, (seed,), height, width, truncation)[0]


class CSIMethod(Method):
    name = "csi"
    label = "CSI"
    description = "Latent sliders decide what appears, the observed pixels decide how it fits (Xu and Teh 2018)."
    takes_hints = True
    options = (
        Control(
            "spread",
            "Variety",
            0.0,
            2.0,
            DEFAULT_SPREAD,
            "How different the fills are. 0: the middle of what is likely; 1: drawn from the posterior; above that, "
            "more than the model believes in.",
        ),
        Control(
            "truncation",
            "Detail",
            0.1,
            8.0,
            DEFAULT_TRUNCATION,
            "Less is smoother, more brings detail and slips: how far a pixel may stray from its mean, in scales. "
            "The paper's is 1.",
        ),
        Control(
            "guidance",
            "Sharpness",
            0.0,
            100.0,
            DEFAULT_GUIDANCE,
            "How closely the pixels follow the picture that the decoder itself draws of the latents. 0 is the paper's: "
            "pixels drawn before count for more, and eyes and mouths go soft.",
            step=5.0,
        ),
    )

    def __init__(self, precision: torch.dtype = torch.float64, compiled: bool = True, model: CSI | None = None):
        """precision, compiled: as of `PaperCSI`. model: in place of the one in weights/; only its size and its speed
        are then of interest."""
        self.model: CSI = model or weights.load_network("csi")
        self.config = self.model.config
        self.paper = PaperCSI(self.model, precision, compiled)
        self.observe = Recent(self.paper.observe)
        self.posterior = Recent(self.paper.infer)
        self._noise = lru_cache(KEPT)(partial(_noise, self.model))
        if compiled:
            code.prepare()
        self._declared = from_measured(None if model else load_measured(), self.config.latent_dim)

    @property
    def live(self) -> bool:
        return self.paper.uses_kernel

    @property
    def controls(self) -> tuple[Control, ...]:
        return self._declared.controls

    def infer(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (1, z) of the latents given the context."""
        posterior = self.posterior(image, mask)
        return posterior.mean, posterior.sigma

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        """Latents at the posterior mean."""
        return self._values(self.infer(image, mask)[0])

    def _values(self, z: Tensor) -> dict[str, float]:
        """The controls' values for latents (1, z), within their ranges."""
        row = z[0].tolist()
        found = {f"z{index}": value for index, value in enumerate(row)}
        found |= {name: known.sign * row[known.latent] for name, known in self._declared.named.items()}
        return {
            control.name: min(max(found[control.name], control.minimum), control.maximum) for control in self.controls
        }

    def surprise(self, image: Tensor, mask: Tensor, seed: int) -> dict[str, float]:
        """Latents from a somewhat widened posterior."""
        return self._values(self.draw(image, mask, (seed,), SURPRISE))

    def relevance(self, mask: Tensor) -> dict[str, float]:
        return self._declared.relevance(mask[0, 0].numpy() < 0.5)

    def presets(self, mask: Tensor) -> dict[str, dict[str, float]]:
        return self._declared.presets(mask[0, 0].numpy() < 0.5)

    @torch.inference_mode()
    def previews(self, image: Tensor, mask: Tensor, settings: Sequence[Mapping[str, float]]) -> Tensor:
        """The decoder's own pictures, which the pixels of a fill by seed 0 are drawn around."""
        context = self.observe(image, mask)
        maps = [self.paper.decode(self.latents(image, mask, (0,), controls), context) for controls in settings]
        guide = beyond.guidance(self.model, image, mask, torch.cat(maps), DEFAULT_GUIDANCE)  # type: ignore[arg-type]
        return guide.towards

    @torch.inference_mode()
    def draw(self, image: Tensor, mask: Tensor, seeds: Sequence[int], spread: float) -> Tensor:
        """Latents (n, z) drawn from the posterior, row k with the noise of seeds[k] alone."""
        posterior = self.posterior(image, mask)
        z = torch.cat([self.model.draw(posterior, spread * self._latent_noise(seed)) for seed in seeds])
        return (z * GRID).round() / GRID

    def _latent_noise(self, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed ^ LATENT_SEED_OFFSET)
        return torch.randn(1, self.config.latent_dim, generator=generator)

    @torch.inference_mode()
    def latents(
        self,
        image: Tensor,
        mask: Tensor,
        seeds: Sequence[int],
        controls: Mapping[str, float],
        spread: float = DEFAULT_SPREAD,
    ) -> Tensor:
        """Latents (n, z): drawn from the posterior with each seed's own noise, those that controls name set to their
        values. The other named ones stay where they are, but for what makes up for what the set ones drag along (see
        `aims`), and those without a name follow as the flow has learned (see `CSI.follow`)."""
        z = self.draw(image, mask, seeds, spread)
        named = self._declared.named
        chosen = [(named[name], value) for name, value in controls.items() if name in named]
        if chosen:
            z = self.moved(image, mask, z, seeds, spread, aims(z, chosen), [known.latent for known, _ in chosen])
        for name, value in controls.items():
            if name not in named:
                z[:, int(name[1:])] = value
        return z

    @torch.inference_mode()
    def moved(
        self,
        image: Tensor,
        mask: Tensor,
        z: Tensor,
        seeds: Sequence[int],
        spread: float,
        values: Tensor,
        chosen: Sequence[int],
    ) -> Tensor:
        """Latents z (n, z), as `draw` drew them, with the named ones at values (n, named) and the rest following those
        that are chosen."""
        posterior, named = self.posterior(image, mask), values.shape[1]
        rows = []
        for row, seed, own in zip(z.split(1), seeds, values.split(1), strict=True):
            noise = spread * self._latent_noise(seed)
            shift = self.model.follow(posterior, noise, chosen, row[:, list(chosen)], own[:, list(chosen)])
            rows.append(torch.cat((own, (row + shift)[:, named:]), 1))
        return torch.cat(rows)

    def obeying(self, image: Tensor, mask: Tensor, z: Tensor, hints: Tensor, controls: Mapping[str, float]) -> Tensor:
        """Latents (n, z) moved as hints ask, see `beyond.obeying`; those that controls set stay."""
        named = self._declared.named
        held = [named[name].latent if name in named else int(name[1:]) for name in controls]
        return beyond.obeying(self.model, self.posterior(image, mask), self.observe(image, mask).seen, z, hints, held)

    def ends(self, image: Tensor, mask: Tensor, seed: int, name: str) -> Tensor:
        """The hole filled with a control at its low and at its high end, as `complete` does it: (2, 3, H, W)."""
        control = next(one for one in self.controls if one.name == name)
        values = (control.minimum, control.maximum)
        z = torch.cat([self.latents(image, mask, (seed,), {name: value}) for value in values])
        *_, (images, _, _) = self.fill(image, mask, z, (seed, seed))
        return images

    def _complete(self, task: Task) -> Iterator[Step]:
        began, image, mask, seeds = time.perf_counter(), task.image, task.mask, task.seeds
        yield Step(keep_observed(image, mask, torch.zeros_like(image)).expand(len(seeds), -1, -1, -1), 0.0)
        z = self.latents(image, mask, seeds, task.controls, task.options["spread"])
        if task.hints is not None:
            z = self.obeying(image, mask, z, task.hints, task.controls)
        moments = self.fill(image, mask, z, seeds, task.options["truncation"], task.options["guidance"], task.hints)
        for images, progress, predicted in moments:
            if predicted is None:
                yield Step(images, progress)
                continue
            bits, entropy = predicted.bits_per_dim().tolist(), predicted.entropy()
            info: dict[str, Any] = {
                "seconds": time.perf_counter() - began,
                "figures": [{"bits per dim": value} for value in bits],
                "bits_per_dim": bits,
                "entropy_bits": entropy[:, mask[0, 0] < 0.5].mean(1).tolist(),
            }
            yield Step(images, 1.0, info, {"Uncertainty": heat_map(image, mask, entropy)})

    @torch.inference_mode()
    def fill(
        self,
        image: Tensor,
        mask: Tensor,
        z: Tensor,
        seeds: Sequence[int],
        truncation: float = DEFAULT_TRUNCATION,
        guidance: float = DEFAULT_GUIDANCE,
        hints: Tensor | None = None,
    ) -> Iterator[tuple[Tensor, float, Prediction | None]]:
        """Draws the hole once for every row of latents (n, z), with the pixel noise of seeds[k].

        guidance, hints: see `beyond.guidance`; 0: none, as in the paper. Yields pictures (n, 3, H, W), progress and, on
        the last step, what the model itself, unguided, predicted for the pixels drawn.
        """
        context = self.observe(image, mask)
        maps = self.paper.decode(z, context)
        height, width = image.shape[2:]
        noise = torch.stack([self._noise(seed, height, width, truncation) for seed in seeds])
        guide = None
        if guidance and maps is not None:
            guide = beyond.guidance(self.model, image, mask, maps, guidance, hints)
        for drawn, progress, predicted in self.paper.draw(context, maps, noise, guide):
            yield keep_observed(image, mask, drawn.to(image.dtype)), progress, predicted

    @torch.inference_mode()
    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float:
        context = self.observe(image, mask)
        maps = self.paper.decode(self.draw(image, mask, (seed,), 1.0), context)
        return float(self.paper.predict(context, maps).bits_per_dim())


def heat_map(image: Tensor, mask: Tensor, entropy: Tensor) -> Tensor:
    """Bits (n, H, W) as pictures (n, 3, H, W): black, red, yellow, white at `HOTTEST`; a dim grey photo around.

    image: (1, 3, H, W); mask: (1, 1, H, W).
    """
    heat = (3.0 * entropy[:, None] / HOTTEST - torch.arange(3.0)[:, None, None]).clamp(0.0, 1.0)
    grey = (image.mean(1, keepdim=True) + 1.0) * 0.2
    return torch.where(mask > 0.5, grey, heat) * 2.0 - 1.0

"""Completion by variational autoencoders (Ham et al. 2018): by iterating encode, decode, keep; and in one pass."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..models.vae import VAE, OneShotVAE
from .base import Control, Method, Step, Task, keep_observed, toggle
from .fitting import FITTING, fit, softened

TEMPERATURE = Control(
    "temperature",
    "Variety",
    0.0,
    3.0,
    1.0,
    "How different the fills are: how far z strays from the encoder's mean, in its standard deviations; 0 leaves "
    "chance out.",
)
ITERATIONS = Control("iterations", "Iterations", 1, 200, 12, "How often the picture is encoded and decoded.", step=1)
PASSES = Control(
    "iterations", "Passes", 1, 20, 2, "1 is the plain one-shot; a second pass sees the first's fill.", step=1
)
MASKED_ENCODER = toggle(
    "masked_encoder", "Masked encoder", True, "The encoder trained on pictures with holes, not whole ones."
)


class IteratingVAE(Method):
    """X'_{t+1} = m * X' + (1 - m) * X_t, X_t drawn from X'_t by `draw`; every seed's sample goes its way alone."""

    latent_dim: int
    live = True
    accelerated = True

    @property
    def controls(self) -> tuple[Control, ...]:
        return ()

    def hold(self, task: Task) -> tuple[Tensor, ...]:
        """What stays as it is in all iterations, besides the observed pixels: passed on to `draw`."""
        return ()

    @abstractmethod
    def draw(
        self, picture: Tensor, mask: Tensor, eps: Tensor, options: Mapping[str, float], held: tuple[Tensor, ...]
    ) -> Tensor:
        """X_t (1, 3, H, W), the mean of p(x | Z_t), from X'_t (1, 3, H, W), with noise eps (1, z) for Z_t."""

    def _complete(self, task: Task) -> Iterator[Step]:
        began, total = time.perf_counter(), int(task.options["iterations"])
        photo, hole, held = task.image, task.mask, self.hold(task)
        task = task.on(self.device)
        image, mask = task.image, task.mask
        generators = [torch.Generator().manual_seed(seed) for seed in task.seeds]
        pictures = keep_observed(image, mask, torch.zeros_like(image)).repeat(len(task.seeds), 1, 1, 1)
        yield Step(pictures.cpu(), 0.0)
        moved: list[float] = []
        for turn in range(1, total + 1):
            drawn = torch.cat(
                [
                    self.draw(picture[None], mask, self._noise(generator), task.options, held)
                    for picture, generator in zip(pictures, generators, strict=True)
                ]
            )
            before, pictures = pictures, keep_observed(image, mask, drawn)
            change = ((pictures - before).abs() * (1.0 - mask)).sum((1, 2, 3)) / (3.0 * (1.0 - mask).sum())
            moved.append(round(float(change.mean()), 5))
            info: dict[str, Any] = {"seconds": time.perf_counter() - began}
            if turn == total:
                figures = [{"last change": value} for value in change.tolist()]
                info |= {"iterations": total, "change_trace": moved, "figures": figures}
            drawn = drawn.cpu()
            fitted = softened(drawn) if task.options["soften"] else drawn
            shown = fit(photo, hole, fitted, task.options)
            yield Step(shown, turn / total, info, {"Reconstruction": drawn})

    def _noise(self, generator: torch.Generator) -> Tensor:
        """Standard normal (1, z), the same numbers on every device."""
        return torch.randn(1, self.latent_dim, generator=generator).to(self.device)


class VAEMethod(IteratingVAE):
    name = "vae"
    label = "VAE"
    description = "Encodes and decodes again and again, keeping the observed pixels (Ham et al. 2018)."
    options = (ITERATIONS, TEMPERATURE, MASKED_ENCODER, *FITTING)

    def __init__(self) -> None:
        self.model: VAE = weights.load_network("vae")
        self.latent_dim = self.model.config.latent_dim

    @torch.no_grad()
    def sample(self, count: int, seed: int = 0) -> Tensor:
        noise = torch.randn(count, self.latent_dim, generator=torch.Generator().manual_seed(seed))
        return torch.cat([self.model.sample(part.to(self.device)).cpu() for part in noise.split(64)])

    @torch.no_grad()
    def draw(
        self, picture: Tensor, mask: Tensor, eps: Tensor, options: Mapping[str, float], held: tuple[Tensor, ...]
    ) -> Tensor:
        mean, log_variance = self.model.encode(picture, masked=bool(options["masked_encoder"]))
        return self.model.decode(mean + options["temperature"] * torch.exp(0.5 * log_variance) * eps)


class OneShotMethod(IteratingVAE):
    name = "vae-oneshot"
    label = "VAE one-shot"
    description = "Encoder and decoder both see the masked picture; trained through the iteration (Ham et al. 2018)."
    options = (PASSES, TEMPERATURE, *FITTING)

    def __init__(self) -> None:
        self.model: OneShotVAE = weights.load_network("vae-oneshot")
        self.latent_dim = self.model.config.latent_dim

    @torch.no_grad()
    def draw(
        self, picture: Tensor, mask: Tensor, eps: Tensor, options: Mapping[str, float], held: tuple[Tensor, ...]
    ) -> Tensor:
        return self.model(picture, mask, options["temperature"] * eps)[0]

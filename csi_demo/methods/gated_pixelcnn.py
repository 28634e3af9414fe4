"""Completion by the Gated PixelCNN (van den Oord et al. 2016): the hole in raster order, with exact likelihoods."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..models import logistic_mixture
from ..sampling.gated import (
    Conditions,
    SamplingOptions,
    bits_per_dim,
    frozen_uniforms,
    sample_rows,
    to_precision,
    window,
)
from ..sampling.gated_compiled import GatedFill, Layout, can_compile, code
from .attributes import AttributeMethod, AttributeSliders
from .base import Control, Step, Task, keep_observed
from .fitting import blended, calmed

KEPT = 16  # seeds whose noise is kept
GUIDANCE, TEMPERATURE, CONTEXT = 1.0, 0.7, 10.0
SUPPORT = 5.0  # nats; after slips, and by guidance, levels would be drawn that nothing says are likely


class GatedPixelCNNMethod(AttributeMethod):
    name = "pixelcnn"
    label = "Gated PixelCNN"
    description = (
        "Pixel after pixel, given all before it, the context and attributes (van den Oord et al. 2016). "
        "Trained briefly: faces that look ahead come out soft; hair, hats and the dark go astray."
    )
    options = (
        Control(
            "temperature",
            "Temperature",
            0.1,
            1.5,
            TEMPERATURE,
            "1: as likely as the model holds them to be; less: likelier pixels, smoother and with fewer slips.",
            step=0.05,
        ),
        Control(
            "guidance",
            "Guidance",
            0.0,
            5.0,
            GUIDANCE,
            "How far attributes that are set outweigh what the picture suggests; 1: as learned.",
        ),
        Control(
            "context",
            "Context",
            0.0,
            20.0,
            CONTEXT,
            "How much what the visible pixels say of each pixel counts beside what was drawn so far; 0: as learned.",
        ),
    )

    def __init__(self, precision: torch.dtype = torch.float64, compiled: bool = True):
        """Loads the weights and, where the kernel can be compiled, lays them out for it.

        precision: of what torch runs of the stacks; where torch draws the pixels, float64 keeps a sample free of the
        batch that it is drawn in. compiled: whether the kernel draws them, in float32, as soon as it is ready."""
        self.model = to_precision(weights.load_network("pixelcnn"), precision)
        self.config = self.model.config
        self.sliders = AttributeSliders("pixelcnn", self.config.names)
        self.precision = precision
        self.layout = Layout(self.model) if compiled and can_compile(self.config) else None
        if self.layout:
            code.prepare()
        self._uniforms = lru_cache(KEPT)(lambda seed, height, width: frozen_uniforms((seed,), height, width)[0])

    @property
    def live(self) -> bool:
        return self.layout is not None and code.ready()

    def first_fill(self, image: Tensor, mask: Tensor) -> Tensor:
        nothing = torch.zeros(1, len(self.sliders.names))
        return self.sketch(image, mask, nothing, nothing)

    @torch.inference_mode()
    def sketch(self, image: Tensor, mask: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """The picture (1, 3, H, W) that the context alone predicts, given y (1, A) as far as it is known (1, A)."""
        return _sketch(image, mask, self._conditions(image, mask, y, known, False))

    def _conditions(self, images: Tensor, masks: Tensor, y: Tensor, known: Tensor, *about: Any) -> Conditions:
        """`Conditions.of`, but their predictions fitted to the visible pixels around the hole by Poisson's
        equation, and `calmed`. The context knows a face's features, and poorly its colours."""
        conditions = Conditions.of(self.model, images, masks, y, known, *about)
        means, scales = conditions.prediction.unbind(-1)  # (k m, H, W, 3)
        fitted = means.clone()
        for k, picture in enumerate(means.permute(0, 3, 1, 2).float().split(1)):
            own = slice(k % len(images), k % len(images) + 1)
            fill = calmed(images[own], masks[own], blended(images[own], masks[own], picture))
            fitted[k] = fill[0].permute(1, 2, 0)
        return replace(conditions, prediction=torch.stack((fitted, scales), -1))

    @torch.inference_mode()
    def _complete(self, task: Task) -> Iterator[Step]:
        began = time.perf_counter()
        image, mask, seeds, controls, options = task.image, task.mask, task.seeds, task.controls, task.options
        yield Step(keep_observed(image, mask, torch.zeros_like(image)).expand(len(seeds), -1, -1, -1), 0.0)
        y, known = self.sliders.held(controls)
        hole = mask[0, 0] < 0.5
        rows, columns = window(self.model, hole)
        sampling = SamplingOptions(
            options["temperature"], options["guidance"] if controls else 1.0, options["context"], SUPPORT
        )
        x = logistic_mixture.quantise(image.to(self.precision)).expand(len(seeds), -1, -1, -1)
        guided = sampling.guidance != 1.0
        conditions = self._conditions(image, mask, y, known, guided, (rows, columns), len(seeds))
        uniforms = torch.stack([self._uniforms(seed, *hole.shape) for seed in seeds])[:, rows, columns]
        part, near = x[:, :, rows, columns], mask[:, :, rows, columns].to(self.precision)
        view = {"Sketch": _sketch(image, mask, conditions).expand(len(seeds), -1, -1, -1)}
        for drawn, nll, progress in self._rows(part, near, conditions, uniforms, sampling):
            pictures = image.repeat(len(seeds), 1, 1, 1)
            pictures[:, :, rows, columns] = drawn.to(image.dtype)
            images = keep_observed(image, mask, pictures)
            if progress < 1.0:
                yield Step(images, progress)
                continue
            bits = bits_per_dim(nll, hole[rows, columns]).tolist()
            info: dict[str, Any] = {
                "seconds": time.perf_counter() - began,
                "figures": [{"bits per dim": value} for value in bits],
                "bits_per_dim": bits,
            }
            yield Step(images, 1.0, info, view)

    def _rows(
        self, x: Tensor, mask: Tensor, conditions: Conditions, uniforms: Tensor, sampling: SamplingOptions
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """As `sample_rows`, by the kernel where it is ready."""
        if self.layout is not None and code.ready():
            return iter(GatedFill(self.layout, x, mask, conditions, uniforms, sampling))
        return sample_rows(self.model, x, mask, conditions, uniforms, sampling)

    @torch.inference_mode()
    def ends(self, images: Tensor, mask: Tensor, seeds: Sequence[int], name: str) -> Tensor:
        """Many pictures filled with a control at its low and at its high end: (N, 2, 3, H, W). mask: (1, 1, H, W)."""
        control, hole = next(each for each in self.controls if each.name == name), mask[0, 0] < 0.5
        held = [self.sliders.held({name: value}) for value in (control.minimum, control.maximum)]
        y, known = (torch.cat(parts).repeat(len(images), 1) for parts in zip(*held, strict=True))
        images = images.repeat_interleave(2, 0)
        rows, columns = window(self.model, hole)
        masks = mask.expand(len(images), -1, -1, -1)
        conditions = self._conditions(images, masks, y, known, GUIDANCE != 1.0, (rows, columns))
        uniforms = torch.stack([self._uniforms(seed, *hole.shape) for seed in seeds])[:, rows, columns]
        x = logistic_mixture.quantise(images.to(self.precision))[:, :, rows, columns]
        near = mask[:, :, rows, columns].to(self.precision)
        sampling = SamplingOptions(TEMPERATURE, GUIDANCE, CONTEXT, SUPPORT)
        *_, (drawn, _, _) = self._rows(x, near, conditions, uniforms.repeat_interleave(2, 0), sampling)
        filled = images.clone()
        filled[:, :, rows, columns] = drawn.to(images.dtype)
        return keep_observed(images, masks, filled).unflatten(0, (-1, 2))

    @torch.inference_mode()
    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float:
        """Given the context alone: no attribute is known."""
        nothing, hole = torch.zeros(1, len(self.sliders.names)), mask[0, 0] < 0.5
        rows, columns = window(self.model, hole)
        conditions = Conditions.of(self.model, image, mask, nothing, nothing, False, (rows, columns))
        x = logistic_mixture.quantise(image.to(self.precision))[:, :, rows, columns]
        features = self.model.features(x, conditions.biases)
        where = hole[rows, columns]
        nll, _ = self.model.head.nll(*(tensor[:, :, where].mT for tensor in (x, features, conditions.maps)))
        return float(nll.mean() / (3.0 * math.log(2.0)))

    def sample(self, count: int, seed: int = 0) -> Tensor:
        size = self.config.image_size
        *_, last = self.complete(
            torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size), range(seed, seed + count)
        )
        return last.images


def _sketch(image: Tensor, mask: Tensor, conditions: Conditions) -> Tensor:
    """The masked picture (1, 3, H, W) with the context's prediction in the hole."""
    means = conditions.prediction[:1, ..., 0].permute(0, 3, 1, 2)
    return keep_observed(image, mask, means.to(image).clamp(-1.0, 1.0))

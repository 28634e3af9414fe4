"""CSI completion: latents inferred from the context or set by the visitor, pixels drawn by a bidirectional PixelCNN."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from ... import weights
from ...models import logistic_mixture
from ...models.csi import CSI, CSIConfig, Posterior
from ...models.logistic_mixture import Guide
from ...photo.blending import poisson
from ...sampling.base import frozen_noise, to_precision
from ...sampling.compiled import Box, Fill, SharedFill, Stream, entropy, kernel_ready, prepare
from ...sampling.rows import sample_pixels
from ..base import Control, Method, Step, keep_observed
from .controls import from_measured, load_measured

TRUNCATION = 2.0  # between the smoothness of the paper's 1 and the slips of the untruncated distribution
GUIDANCE = 20.0  # more is crisper, but takes its grain from the decoder instead of the photo
SPREAD = 1.0  # as the posterior is
HOTTEST = 18.0  # bits of a pixel's uncertainty that are white in the heat map; 24 would be no idea at all
SURPRISE = 1.5  # standard deviations of the posterior that are drawn as one to surprise
KEPT = 16  # photos with their holes, and pixel noises, that are kept ready
LATENT_SEED_OFFSET = 2**62  # latent noise and pixel noise of a seed come from different generators


def _noise(model: CSI, seed: int, height: int, width: int, truncation: float) -> Tensor:
    return frozen_noise(model, (seed,), height, width, truncation)[0]


class CSIMethod(Method):
    name = "csi"
    label = "CSI"
    description = "Latent sliders decide what appears, the observed pixels decide how it fits (Xu and Teh 2018)."
    options = (
        Control(
            "spread",
            "Latent spread",
            0.0,
            2.0,
            SPREAD,
            "0: the likeliest latents; 1: drawn from the posterior; more: more variety than the model believes in.",
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
        Control(
            "guidance",
            "Guidance",
            0.0,
            100.0,
            GUIDANCE,
            "How closely the pixels follow the picture that the decoder itself draws of the latents: 0 is the paper's, "
            "where pixels drawn before count for more and eyes and mouths go soft.",
            step=5.0,
        ),
    )

    def __init__(self, precision: torch.dtype = torch.float64, compiled: bool = True, model: CSI | None = None):
        """precision: of what torch runs; where torch draws the pixels, float64 keeps a sample free of the batch it is
        drawn in. compiled: whether the kernel draws them, in float32, as soon as it is ready. model: in
        place of the one in weights/; only its size and its speed are then of interest."""
        self.precision, self.compiled = precision, compiled
        self.config = model.config if model else CSIConfig(**weights.load_config("csi"))
        self.model = model or weights.load_into("csi", CSI(self.config))
        to_precision(self.model, precision)
        self._stream = Stream(self.model)
        self._kept: dict[bytes, Known] = {}
        self._lock = threading.Lock()
        self._noise = lru_cache(KEPT)(partial(_noise, self.model))
        if compiled:
            prepare()
        self._declared = from_measured(None if model else load_measured(), self.config.latent_dim)

    @property
    def live(self) -> bool:
        return self._use_kernel()

    @property
    def controls(self) -> tuple[Control, ...]:
        return self._declared.controls

    def infer(self, image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation (1, z) of the latents given the context."""
        posterior = self._known(image, mask).posterior
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
        posterior = self._known(image, mask).posterior
        eps = torch.randn(1, posterior.noise_dim, generator=torch.Generator().manual_seed(seed))
        return self._values(posterior.draw(SURPRISE * eps))

    def relevance(self, mask: Tensor) -> dict[str, float]:
        return self._declared.relevance(mask[0, 0].numpy() < 0.5)

    @torch.inference_mode()
    def latents(
        self, image: Tensor, mask: Tensor, seeds: Sequence[int], controls: Mapping[str, float], spread: float
    ) -> Tensor:
        """Latents (n, z): drawn from the posterior with each seed's own noise, those that controls name set to their
        values; with a named one move those that make up for what it drags along."""
        posterior, rows = self._known(image, mask).posterior, []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed ^ LATENT_SEED_OFFSET)
            eps = torch.randn(1, posterior.noise_dim, generator=generator)
            rows.append(posterior.draw(spread * eps))
        z = torch.cat(rows)
        for name, value in controls.items():
            if name not in self._declared.named:
                z[:, int(name[1:])] = value
        return z + self._moves(z, controls)

    def _moves(self, z: Tensor, controls: Mapping[str, float]) -> Tensor:
        """How latents (n, z) move so that named ones have the values that controls give them, (n, z)."""
        total = torch.zeros_like(z)
        for name, known in self._declared.named.items():
            if name in controls:
                lack = controls[name] - known.sign * z[:, known.latent]
                total += lack[:, None] * torch.from_numpy(known.vector)
        return total

    def ends(self, image: Tensor, mask: Tensor, seed: int, name: str) -> Tensor:
        """The hole filled with a control at its low and at its high end, as `complete` does it: (2, 3, H, W)."""
        control = next(one for one in self.controls if one.name == name)
        spread = next(option.default or 0.0 for option in self.options if option.name == "spread")
        values = (control.minimum, control.maximum)
        z = torch.cat([self.latents(image, mask, (seed,), {name: value}, spread) for value in values])
        *_, (images, _, _) = self.fill(image, mask, z, (seed, seed))
        return images

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
        for images, progress, predicted in self.fill(image, mask, z, seeds, options["truncation"], options["guidance"]):
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
        truncation: float = TRUNCATION,
        guidance: float = GUIDANCE,
    ) -> Iterator[tuple[Tensor, float, Predicted | None]]:
        """Draws the hole once for every row of latents (n, z), with the pixel noise of seeds[k].

        guidance: 1 / the standard deviation of normal distributions around the decoder's own RGB picture of z, fitted
        to the hole's edge, that every pixel's distribution is multiplied with; 0: none, as in the paper. The stream has
        learned from true pixels, which tell it so much that it hardly asks the latents; of what it draws itself, it
        should ask more. Yields pictures (n, 3, H, W), progress and, on the last step, what the model itself, unguided,
        predicted for the pixels drawn.
        """
        known = self._known(image, mask)
        height, width = image.shape[2:]
        noise = torch.stack([self._noise(seed, height, width, truncation) for seed in seeds])
        hole, maps = mask[0, 0] < 0.5, self._maps(z)
        guide = self._guide(image, mask, maps, guidance) if guidance else None
        if self._use_kernel():
            biases, threads = self._kernel_biases(known, maps), torch.get_num_threads()
            fill = SharedFill(self._stream, known.x, known.mask, biases, noise, threads, guide)
            for drawn, progress in fill:
                last = Predicted(drawn[:, :, hole].mT, fill.params, hole) if progress == 1.0 else None
                yield keep_observed(image, mask, drawn.to(image.dtype)), progress, last
        else:
            x, masks = (tensor.expand(len(z), -1, -1, -1) for tensor in (known.x, known.mask))
            conditions, frozen = self._torch_biases(known, maps), noise.to(self.precision)
            for drawn, progress in sample_pixels(self.model, x, masks, conditions, frozen, guide):
                last = self._predicted(drawn, conditions, hole) if progress == 1.0 else None
                yield keep_observed(image, mask, drawn.to(image.dtype)), progress, last

    @torch.inference_mode()
    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float:
        known, maps = self._known(image, mask), self._maps(self.latents(image, mask, (seed,), {}, 1.0))
        hole = mask[0, 0] < 0.5
        if self._use_kernel():
            fill = Fill(self._stream, known.x, known.mask, self._kernel_biases(known, maps), None)
            list(fill)
            predicted = Predicted(known.x[:, :, hole].mT, fill.params, hole)
        else:
            predicted = self._predicted(known.x, self._torch_biases(known, maps), hole)
        return float(predicted.bits_per_dim())

    def _use_kernel(self) -> bool:
        return self.compiled and kernel_ready()

    def _known(self, image: Tensor, mask: Tensor) -> Known:
        """What a photo and its hole determine, computed once and kept for the last few."""
        key = image.numpy().tobytes() + mask.numpy().tobytes()
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            found = self._observe(image, mask)
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > KEPT:
                self._kept.pop(next(iter(self._kept)))
        return found

    @torch.inference_mode()
    def _observe(self, image: Tensor, mask: Tensor) -> Known:
        generator = torch.Generator().manual_seed(0)  # the encoder's fill of the hole: the same for every seed
        noise = torch.rand(image.shape, generator=generator) * 2.0 - 1.0
        posterior = self.model.encode(image, mask, noise)
        x, masks = logistic_mixture.quantise(image.to(self.precision)), mask.to(self.precision)
        context = self.model.context_features(x, masks) if self.config.reverse_stream else None
        box = Box.around(self.config.blocks, mask[0, 0].numpy() < 0.5)
        constant = self._stream.constant(masks, context, box)
        return Known(x, masks, posterior, context, box, constant)

    def _maps(self, z: Tensor) -> Tensor:
        """Every row decoded alone, so that a sample does not depend on the batch it was drawn in: (n, M, H, W)."""
        return torch.cat([self.model.decode(row[None]) for row in z])

    def _guide(self, image: Tensor, mask: Tensor, maps: Tensor, guidance: float) -> Guide:
        """The decoder's own pictures of the hole, lifted to meet the photo's colours at its edge."""
        photo, hole = image[0].permute(1, 2, 0).numpy(), mask[0, 0].numpy() < 0.5
        pictures = [self.model.rgb_head(own[None])[0].permute(1, 2, 0).contiguous().numpy() for own in maps]
        lifted = torch.stack([torch.from_numpy(poisson(photo, hole, picture)) for picture in pictures])
        return Guide(lifted.permute(0, 3, 1, 2).clamp(-1.0, 1.0), 1.0 / guidance)

    def _kernel_biases(self, known: Known, maps: Tensor) -> Tensor:
        return self._stream.biases_of_maps(known.constant, maps, len(maps), known.box)

    def _torch_biases(self, known: Known, maps: Tensor) -> Tensor | None:
        masks = known.mask.expand(len(maps), -1, -1, -1)
        context = known.context.expand(len(maps), -1, -1, -1) if known.context is not None else None
        return self.model.biases(maps.to(self.precision), masks, context)

    def _predicted(self, x: Tensor, biases: Tensor | None, hole: Tensor) -> Predicted:
        return Predicted(x[:, :, hole].mT, self.model.logits(x, biases)[:, :, hole].mT, hole)


@dataclass(frozen=True)
class Known:
    """What a photo and its hole determine; x and mask are (1, 3, H, W) and (1, 1, H, W)."""

    x: Tensor
    mask: Tensor
    posterior: Posterior
    context: Tensor | None  # (1, F, H, W)
    box: Box
    constant: Tensor  # see `Stream.constant`


@dataclass(frozen=True)
class Predicted:
    """The distributions of the P hole pixels and what they became. x: (n, P, 3); params: (n, P, 10 K); hole: (H, W)."""

    x: Tensor
    params: Tensor
    hole: Tensor

    def bits_per_dim(self) -> Tensor:
        """-log2 p per hole pixel and channel of every picture: (n,)."""
        log_prob = logistic_mixture.log_prob(self.x.double(), self.params.double())
        return -log_prob.mean(1) / (3.0 * math.log(2.0))

    def entropy(self) -> Tensor:
        """Bits of uncertainty about each pixel, 0 where it is observed: (n, H, W). See `logistic_mixture.entropy`."""
        result, x, params = torch.zeros(len(self.x), *self.hole.shape), self.x.float(), self.params.float()
        if kernel_ready():
            result[:, self.hole] = entropy(x, params).float()
        else:  # in parts: every pixel takes 256 levels of every component
            parts = zip(x.split(64, 1), params.split(64, 1), strict=True)
            result[:, self.hole] = torch.cat([logistic_mixture.entropy(*part).float() for part in parts], 1)
        return result


def heat_map(image: Tensor, mask: Tensor, entropy: Tensor) -> Tensor:
    """Bits (n, H, W) as pictures (n, 3, H, W): black, red, yellow, white at `HOTTEST`; a dim grey photo around.

    image: (1, 3, H, W); mask: (1, 1, H, W).
    """
    heat = (3.0 * entropy[:, None] / HOTTEST - torch.arange(3.0)[:, None, None]).clamp(0.0, 1.0)
    grey = (image.mean(1, keepdim=True) + 1.0) * 0.2
    return torch.where(mask > 0.5, grey, heat) * 2.0 - 1.0

"""CSI completion: latents inferred from the context or set by the visitor, pixels drawn by a bidirectional PixelCNN."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor

from ... import masks, weights
from ...models.chooser import Chooser
from ...models.csi import CSI
from ...sampling.base import frozen_noise
from ...sampling.compiled import code
from ..base import Control, Method, Step, Task, keep_observed
from ..fitting import CALM
from .controls import aims, from_measured, load_measured
from .drawing import Drawing, Predicted, turns_of
from .places import COLOURS

DEFAULT_TRUNCATION = 2.5  # between the smoothness of the paper's 1 and the slips of the untruncated distribution
DEFAULT_GUIDANCE = 40.0  # more is crisper, but takes its grain from the decoder instead of the photo
DEFAULT_SPREAD = 1.2  # of what is uncertain of several latents together: the rest of their uncertainty is left out
DEFAULT_CANDIDATES = 16  # draws that one is chosen of
NARROW = 0.75  # share of the spread for these: the chooser has a taste for what is rare, a lady's moustache
HOTTEST = 18.0  # bits of a pixel's uncertainty that are white in the heat map; 24 would be no idea at all
SURPRISE = 1.5  # standard deviations of the posterior that are drawn as one to surprise
ASKED_SOFTNESS = 2.0  # standard deviation, pixels, of the border of where colours are as a control asks for them
KEPT = 16  # photos with their holes, and pixel noises, that are kept ready
KEPT_SETTLED = 64  # latents of a photo, its hole and a seed
LATENT_SEED_OFFSET = 2**62  # latent noise and pixel noise of a seed come from different generators

Found = TypeVar("Found")


def _noise(model: CSI, seed: int, height: int, width: int, truncation: float) -> Tensor:
    return frozen_noise(model, (seed,), height, width, truncation)[0]


class CSIMethod(Method):
    name = "csi"
    label = "CSI"
    description = "Latent sliders decide what appears, the observed pixels decide how it fits (Xu and Teh 2018)."
    options = (
        Control(
            "spread",
            "Variety",
            0.0,
            2.0,
            DEFAULT_SPREAD,
            "How different the fills are. 0: the likeliest latents; 1: drawn from the posterior; above that, more than "
            "the model believes in.",
        ),
        Control(
            "candidates",
            "Chosen of",
            1.0,
            32.0,
            DEFAULT_CANDIDATES,
            "How many faces are drawn for a sample, of which the one that suits the photo best is filled in. 1: the "
            "first, as the posterior has it. In holes of half a face it makes no difference.",
            step=1.0,
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
        CALM,
    )

    def __init__(self, precision: torch.dtype = torch.float64, compiled: bool = True, model: CSI | None = None):
        """precision, compiled: as of `Drawing`. model: in place of the one in weights/; only its size and its speed are
        then of interest."""
        self.model: CSI = model or weights.load_network("csi")
        self.config = self.model.config
        self.chooser: Chooser | None = None
        if model is None and weights.available("chooser"):
            self.chooser = weights.load_network("chooser")
        self.drawing = Drawing(self.model, precision, compiled)
        self.known = Recent(self.drawing.observe)
        self.posterior = Recent(self.drawing.infer)
        self.settled = Recent(self._settle, KEPT_SETTLED)
        self._noise = lru_cache(KEPT)(partial(_noise, self.model))
        if compiled:
            code.prepare()
        self._declared = from_measured(None if model else load_measured(), self.config.latent_dim)

    @property
    def live(self) -> bool:
        return self.drawing.uses_kernel

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
        posterior = self.posterior(image, mask)
        generator = torch.Generator().manual_seed(seed)
        eps = torch.randn(1, self.config.posterior_rank, generator=generator)
        return self._values(posterior.draw_together(SURPRISE * eps))

    def relevance(self, mask: Tensor) -> dict[str, float]:
        return self._declared.relevance(mask[0, 0].numpy() < 0.5)

    def draw(self, image: Tensor, mask: Tensor, seed: int, spread: float, count: int = 1) -> Tensor:
        """Latents (count, z) drawn from the posterior with a seed's own noise; the first are those of a lower count."""
        generator = torch.Generator().manual_seed(seed ^ LATENT_SEED_OFFSET)
        eps = torch.randn(count, self.config.posterior_rank, generator=generator)
        posterior = self.posterior(image, mask)
        return torch.cat([posterior.draw_together(spread * row[None]) for row in eps])

    def _settle(self, image: Tensor, mask: Tensor, seed: int, spread: float, candidates: float) -> Tensor:
        """The latents (1, z) of a seed, settled with the context: the best of its draws, but the first where settling
        takes turns, which lead every draw to a face; chosen ones came out no better there."""
        count = int(candidates)
        if self.chooser is None or count == 1 or not spread or turns_of(mask):
            z = self.draw(image, mask, seed, spread)
        else:
            draws = self.draw(image, mask, seed, NARROW * spread, count)
            z = self.drawing.choose(image, mask, draws, self.chooser)
        return self.drawing.settle(image, mask, z)

    @torch.inference_mode()
    def latents(
        self,
        image: Tensor,
        mask: Tensor,
        seeds: Sequence[int],
        controls: Mapping[str, float],
        spread: float = DEFAULT_SPREAD,
        candidates: float = DEFAULT_CANDIDATES,
    ) -> Tensor:
        """Latents (n, z): the best of some drawn from the posterior with each seed's own noise, settled with the
        context, those that controls name set to their values. The other named ones stay where they are, but for what
        makes up for what the set ones drag along (see `aims`), and those without a name follow as they would, were they
        drawn given these."""
        z = torch.cat([self.settled(image, mask, seed, spread, candidates) for seed in seeds])
        named = self._declared.named
        chosen = [(named[name], value) for name, value in controls.items() if name in named]
        if chosen:
            values = aims(z, chosen)
            z = self.posterior(image, mask).given(z, range(values.shape[1]), values)
        for name, value in controls.items():
            if name not in named:
                z[:, int(name[1:])] = value
        return z

    def calm(self, controls: Collection[str]) -> float | Tensor:
        """How far the decoder's colours are to be calmed, 1 or (64, 64): not where controls ask for a colour."""
        asked = np.zeros((masks.FRAME, masks.FRAME), np.float32)
        for name, known in self._declared.named.items():
            if self.config.named[known.latent] in COLOURS and {name, f"z{known.latent}"} & set(controls):
                asked = np.maximum(asked, known.home)
        if not asked.any():
            return 1.0
        return torch.from_numpy(1.0 - cv2.GaussianBlur(asked, (0, 0), ASKED_SOFTNESS))

    def ends(self, image: Tensor, mask: Tensor, seed: int, name: str) -> Tensor:
        """The hole filled with a control at its low and at its high end, as `complete` does it: (2, 3, H, W)."""
        control = next(one for one in self.controls if one.name == name)
        values = (control.minimum, control.maximum)
        z = torch.cat([self.latents(image, mask, (seed,), {name: value}) for value in values])
        *_, (images, _, _) = self.fill(image, mask, z, (seed, seed), calm=self.calm((name,)))
        return images

    def _complete(self, task: Task) -> Iterator[Step]:
        began, image, mask, seeds = time.perf_counter(), task.image, task.mask, task.seeds
        yield Step(keep_observed(image, mask, torch.zeros_like(image)).expand(len(seeds), -1, -1, -1), 0.0)
        z = self.latents(image, mask, seeds, task.controls, task.options["spread"], task.options["candidates"])
        calm = self.calm(task.controls) if task.options["calm"] else 0.0
        manner = task.options["truncation"], task.options["guidance"], calm
        moments = self.fill(image, mask, z, seeds, *manner)
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
        calm: float | Tensor = 0.0,
    ) -> Iterator[tuple[Tensor, float, Predicted | None]]:
        """Draws the hole once for every row of latents (n, z), with the pixel noise of seeds[k].

        guidance: 1 / the standard deviation of normal distributions around the decoder's own RGB picture of z, fitted
        to the hole's edge, that every pixel's distribution is multiplied with; 0: none, as in the paper. The stream has
        learned from true pixels, which tell it so much that it hardly asks the latents; of what it draws itself, it
        should ask more. calm: how far that picture's colours are `calmed`, a number or (H, W). Yields pictures
        (n, 3, H, W), progress and, on the last step, what the model itself, unguided, predicted for the pixels drawn.
        """
        known, maps = self.known(image, mask), self.drawing.maps(z)
        height, width = image.shape[2:]
        noise = torch.stack([self._noise(seed, height, width, truncation) for seed in seeds])
        guide = self.drawing.guide(image, mask, maps, guidance, calm) if guidance and maps is not None else None
        for drawn, progress, predicted in self.drawing.fill(known, maps, noise, guide):
            yield keep_observed(image, mask, drawn.to(image.dtype)), progress, predicted

    @torch.inference_mode()
    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float:
        maps = self.drawing.maps(self.draw(image, mask, seed, 1.0))
        return float(self.drawing.predict(self.known(image, mask), maps).bits_per_dim())


class Recent(Generic[Found]):
    """What a photo and its hole (and numbers beside them) lead to, worked out once and kept for the last few."""

    def __init__(self, work: Callable[..., Found], kept: int = KEPT):
        self.work, self.kept = work, kept
        self._kept: dict[bytes, Found] = {}
        self._lock = threading.Lock()

    def __call__(self, image: Tensor, mask: Tensor, *numbers: float) -> Found:
        key = image.numpy().tobytes() + mask.numpy().tobytes() + repr(numbers).encode()
        with self._lock:
            found = self._kept.pop(key, None)
        if found is None:
            found = self.work(image, mask, *numbers)
        with self._lock:
            self._kept[key] = found
            while len(self._kept) > self.kept:
                self._kept.pop(next(iter(self._kept)))
        return found


def heat_map(image: Tensor, mask: Tensor, entropy: Tensor) -> Tensor:
    """Bits (n, H, W) as pictures (n, 3, H, W): black, red, yellow, white at `HOTTEST`; a dim grey photo around.

    image: (1, 3, H, W); mask: (1, 1, H, W).
    """
    heat = (3.0 * entropy[:, None] / HOTTEST - torch.arange(3.0)[:, None, None]).clamp(0.0, 1.0)
    grey = (image.mean(1, keepdim=True) + 1.0) * 0.2
    return torch.where(mask > 0.5, grey, heat) * 2.0 - 1.0

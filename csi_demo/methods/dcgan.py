"""DCGAN completion (Yeh et al. 2017, Amos 2016): descend on z until G(z) agrees with the observed pixels."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from .. import weights
from ..blending import poisson
from ..models.dcgan import DCGAN, DCGANConfig, completion_loss, contextual_weights
from .base import CompletionError, Control, Method, Number, Step, check_all, check_inputs, keep_observed, toggle

ADAM_RATE, ADAM_FINAL = 0.1, 0.05  # step size, and the share of it that is left at the end
MOMENTUM_RATE, MOMENTUM = 0.01, 0.9  # Amos's
START_SPREAD = 0.15  # standard deviation of further starts around the encoder's guess
FLAT_STEPS, FLAT_SHARE = 15, 2e-3  # flat: the best loss fell by less than this share over so many steps
UPDATES = 24  # pictures shown on the way, at most


@dataclass
class _Descent:
    """One sample's restarts: latents (r, z), the best found so far, and the optimiser's memory."""

    z: Tensor
    best_z: Tensor
    best: Tensor  # (r,)
    first: Tensor
    second: Tensor
    trace: list[float] = field(default_factory=list)


class DCGANMethod(Method):
    name = "dcgan"
    label = "DCGAN"
    description = "Searches a generator's latents for the face that best agrees with the observed pixels (Yeh et al.)."
    options = (
        Control("steps", "Steps", 1, 3000, 100, "Steps of gradient descent on z, at most.", step=1),
        Control("perceptual", "λ, perceptual loss", 0.0, 10.0, 0.1, "How much the discriminator's verdict counts."),
        Control("restarts", "Restarts", 1, 32, 2, "Starts a sample; the one with the lowest loss is kept.", step=1),
        toggle("blend", "Poisson blending", True, "Fit the fill's colours to the observed pixels around the hole."),
        toggle(
            "weighted", "Importance weighting", True, "Observed pixels count by how much hole is around them (Yeh)."
        ),
        toggle("learned_start", "Learned start", True, "Start where a trained encoder guesses instead of at random."),
        toggle("early_stop", "Early stop", True, "Stop when the loss no longer falls."),
        toggle("momentum", "Momentum", False, "Amos's gradient descent with momentum instead of Adam."),
    )

    def __init__(self) -> None:
        self.config = DCGANConfig(**weights.load_config("dcgan"))
        self.model = weights.load_into("dcgan", DCGAN(self.config))

    @property
    def controls(self) -> tuple[Control, ...]:
        return ()

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """G(z): (n, 100) in [-1, 1] to pictures (n, 3, 64, 64) in [-1, 1]."""
        return torch.cat([self.model.generator(part) for part in z.split(64)])

    def sample(self, count: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return self.generate(2.0 * torch.rand(count, self.config.latent_dim, generator=generator) - 1.0)

    def complete(
        self,
        image: Tensor,
        mask: Tensor,
        seeds: Sequence[int] = (0,),
        controls: Mapping[str, Number] | None = None,
        options: Mapping[str, Number] | None = None,
    ) -> Iterator[Step]:
        check_inputs(image, mask, seeds)
        check_all(self.controls, controls, "control of dcgan")
        return self._complete(image, mask, tuple(seeds), self.check_options(options))

    def _complete(
        self, image: Tensor, mask: Tensor, seeds: tuple[int, ...], options: dict[str, float]
    ) -> Iterator[Step]:
        began, total = time.perf_counter(), int(options["steps"])
        descents = [self._start(image, mask, seed, options) for seed in seeds]
        yield self._step(image, mask, descents, options, 0.0, {})
        every, done = max(1, math.ceil(total / UPDATES)), 0
        while done < total and not all(self._flat(descent, options) for descent in descents):
            for descent in descents:
                if not self._flat(descent, options):
                    self._descend(image, mask, descent, options, done / total)
            done += 1
            if done % every == 0 and done < total:
                yield self._step(image, mask, descents, options, done / total, {"seconds": time.perf_counter() - began})
        for descent in descents:
            self._descend(image, mask, descent, options, 1.0, move=False)
        info = {"iterations": done, "loss_trace": [[round(loss, 3) for loss in d.trace] for d in descents]}
        yield self._step(image, mask, descents, options, 1.0, info, began)

    def _start(self, image: Tensor, mask: Tensor, seed: int, options: Mapping[str, float]) -> _Descent:
        generator = torch.Generator().manual_seed(seed)
        restarts = int(options["restarts"])
        if options["learned_start"]:
            noise = torch.randn(restarts, self.config.latent_dim, generator=generator)
            with torch.no_grad():
                z = self.model.encoder(image, mask) + START_SPREAD * noise
        else:
            z = 2.0 * torch.rand(restarts, self.config.latent_dim, generator=generator) - 1.0
        z = z.clamp(-1.0, 1.0)
        return _Descent(z, z.clone(), torch.full((restarts,), math.inf), torch.zeros_like(z), torch.zeros_like(z))

    def _descend(
        self, image: Tensor, mask: Tensor, descent: _Descent, options: Mapping[str, float], done: float, move=True
    ) -> None:
        """Measures the loss at z, remembers the best, and moves z by one projected step."""
        pixel_weights = contextual_weights(mask) if options["weighted"] else mask
        if not pixel_weights.any():  # nothing observed: the discriminator alone decides
            pixel_weights = mask
        z = descent.z.detach().requires_grad_(move)
        with torch.set_grad_enabled(move):
            loss, _, _ = completion_loss(
                self.model, self.model.generator(z), image, pixel_weights, options["perceptual"]
            )
        if not torch.isfinite(loss).all():
            raise CompletionError("the search for z diverged: its loss is not finite")
        better = loss.detach() < descent.best
        descent.best = torch.where(better, loss.detach(), descent.best)
        descent.best_z = torch.where(better[:, None], descent.z, descent.best_z)
        descent.trace.append(float(descent.best.min()))
        if not move:
            return
        (gradient,) = torch.autograd.grad(loss.sum(), z)
        if options["momentum"]:  # Nesterov's, as Amos has it
            before = descent.first
            descent.first = MOMENTUM * before - MOMENTUM_RATE * gradient
            change = -MOMENTUM * before + (1.0 + MOMENTUM) * descent.first
        else:
            count = len(descent.trace)
            rate = ADAM_RATE * (ADAM_FINAL + (1.0 - ADAM_FINAL) * 0.5 * (1.0 + math.cos(math.pi * done)))
            descent.first = 0.9 * descent.first + 0.1 * gradient
            descent.second = 0.99 * descent.second + 0.01 * gradient.square()
            size = (descent.second / (1.0 - 0.99**count)).sqrt() + 1e-8
            change = -rate * descent.first / (1.0 - 0.9**count) / size
        descent.z = (descent.z + change).clamp(-1.0, 1.0)

    def _flat(self, descent: _Descent, options: Mapping[str, float]) -> bool:
        trace = descent.trace
        if not options["early_stop"] or len(trace) <= FLAT_STEPS:
            return False
        return trace[-1 - FLAT_STEPS] - trace[-1] < FLAT_SHARE * abs(trace[-1])

    @torch.no_grad()
    def _step(
        self,
        image: Tensor,
        mask: Tensor,
        descents: Sequence[_Descent],
        options: Mapping[str, float],
        progress: float,
        info: dict,
        began: float | None = None,
    ) -> Step:
        """Each sample's best restart: the completion, G(z), and what it is worth."""
        best = [descent.best_z[descent.best.argmin()][None] for descent in descents]
        drawn = torch.cat([self.model.generator(z) for z in best])
        pasted = keep_observed(image, mask, drawn)
        blended = pasted
        if options["blend"]:
            blended = keep_observed(image, mask, torch.stack([_blend(image[0], mask[0, 0], one) for one in drawn]))
        figures = [{"loss": float(descent.best.min())} for descent in descents]
        if began is not None:
            info = info | {
                "seconds": time.perf_counter() - began,
                "figures": figures,
                "latents": torch.cat(best).tolist(),
            }
        elif math.isfinite(figures[0]["loss"]):
            info = info | {"figures": figures}
        views = {"G(z)": drawn} | ({"Not blended": pasted} if options["blend"] else {})
        return Step(blended, progress, info, views)


def _blend(image: Tensor, mask: Tensor, drawn: Tensor) -> Tensor:
    """Poisson blending of a picture (3, H, W) into another; mask: (H, W)."""
    photo, fill = (picture.permute(1, 2, 0).numpy() for picture in (image, drawn))
    return torch.from_numpy(poisson(photo, mask.numpy() < 0.5, fill)).permute(2, 0, 1).clamp(-1.0, 1.0)

"""DCGAN completion (Yeh et al. 2017, Amos 2016): descend on z until G(z) agrees with the observed pixels."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .. import weights
from ..errors import CompletionError
from ..models.dcgan import DCGAN, completion_loss, contextual_loss, contextual_weights
from .base import Control, Method, Step, Task, keep_observed, toggle
from .fitting import BLEND, CALM, fit
from .together import Ask, search_together

L_BFGS, ADAM, MOMENTUM = range(3)
ADAM_RATE, ADAM_FINAL = 0.1, 0.05  # step size, and the share of it that is left at the end
MOMENTUM_RATE, INERTIA = 0.01, 0.9  # Amos's
CHUNK = 10  # evaluations of L-BFGS between two looks at the discriminator, fewer where there are many restarts
TOGETHER = 8  # restarts, of all samples, that are evaluated as one batch: more gain nothing
PATIENCE = 0.3  # seconds without a step, after which whoever watches may want to stop
OUTSIDE = 5.0  # weight of the squared distance from [-1, 1] within a chunk of L-BFGS
SHARED = 0.4  # share of the steps that samples of one photo take together, from the encoder's guess
START_SPREAD = 0.36  # standard deviation of the samples' own starts around what is found together
FLAT_STEPS, FLAT_SHARE = 20, 0.01  # flat: the best loss fell by less than this share over so many steps
RESTRAINT = {"softness": 1.5, "limit": 0.2}  # of `calmed`, more than for others: lids and cheeks have flecks of red
UPDATES = 24  # pictures shown on the way, more only where they are slow to come


@dataclass
class _Descent:
    """One sample's restarts: latents (r, z), the best found so far, and the optimiser's memory."""

    z: Tensor
    best_z: Tensor
    best: Tensor  # (r,)
    steps: int = 0  # evaluations of the loss so far
    trace: list[tuple[int, float]] = field(default_factory=list)  # steps, the best loss until then
    memory: Any = None

    @classmethod
    def at(cls, z: Tensor, steps: int = 0) -> _Descent:
        """Begins at latents (r, z), after so many evaluations."""
        z = z.clamp(-1.0, 1.0)
        return cls(z, z.clone(), z.new_full((len(z),), math.inf), steps)


@dataclass(frozen=True)
class _Goal:
    """What is minimised over z: `completion_loss` for one masked picture."""

    model: DCGAN
    image: Tensor
    weighting: Tensor
    perceptual_weight: float

    def __call__(self, z: Tensor) -> Tensor:
        """Loss (r,) of latents (r, z)."""
        return self.parts(self.model.generator(z))[0]

    def parts(self, fake: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Total, contextual and perceptual loss (r,) of pictures (r, 3, H, W)."""
        return completion_loss(self.model, fake, self.image, self.weighting, self.perceptual_weight)

    def contextual(self, fake: Tensor) -> Tensor:
        """The contextual loss (r,) alone, without a look at the discriminator."""
        return contextual_loss(fake, self.image, self.weighting)


class DCGANMethod(Method):
    name = "dcgan"
    label = "DCGAN"
    description = "Searches a generator's latents for the face that best agrees with the observed pixels (Yeh et al.)."
    accelerated = True
    options = (
        Control("steps", "Steps", 1, 3000, 110, "Evaluations of the loss and its gradient, at most.", step=1),
        Control(
            "perceptual", "Realism", 0.0, 10.0, 0.1, "How much the discriminator's verdict counts: λ of the paper."
        ),
        Control("restarts", "Restarts", 1, 32, 1, "Starts a sample; the one with the lowest loss is kept.", step=1),
        Control("optimiser", "Optimiser", 0, 2, L_BFGS, "0: L-BFGS, 1: Adam, 2: Amos's momentum.", step=1),
        BLEND,
        CALM,
        toggle(
            "weighted", "Importance weighting", True, "Observed pixels count by how much hole is around them (Yeh)."
        ),
        toggle("learned_start", "Learned start", True, "Start where a trained encoder guesses instead of at random."),
        toggle("early_stop", "Early stop", True, "Stop when the loss no longer falls."),
    )

    def __init__(self) -> None:
        model: DCGAN = weights.load_network("dcgan")
        self.config = model.config
        with weights.Undrawn():
            model.hold_still()
        self.model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def controls(self) -> tuple[Control, ...]:
        return ()

    @torch.no_grad()
    def generate(self, z: Tensor) -> Tensor:
        """G(z): (n, 100) in [-1, 1] to pictures (n, 3, 64, 64) in [-1, 1]."""
        return torch.cat([self.model.generator(part.to(self.device)).cpu() for part in z.split(64)])

    def sample(self, count: int, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return self.generate(2.0 * torch.rand(count, self.config.latent_dim, generator=generator) - 1.0)

    def _complete(self, task: Task) -> Iterator[Step]:
        began, options = time.perf_counter(), task.options
        task = task.on(self.device)
        weighting = contextual_weights(task.mask) if options["weighted"] else task.mask
        if not weighting.any():  # no hole near anything observed: whatever is observed counts alike
            weighting = task.mask
        goal = _Goal(self.model, task.image, weighting, options["perceptual"])
        found: _Descent | None = None
        if options["learned_start"]:
            with torch.no_grad():
                found = _Descent.at(self.model.encoder(task.image, task.mask))
            together = options | {"steps": max(1, int(SHARED * options["steps"]))}
            yield from self._descend(task, goal, [found], together, began, SHARED)
        descents = [self._start(task, seed, found) for seed in task.seeds]
        yield from self._descend(task, goal, descents, options, began, 1.0)
        for descent in descents:
            self._measure(goal, descent)
        info = {
            "iterations": max(descent.steps for descent in descents),
            "loss_trace": [[(step, round(loss, 3)) for step, loss in descent.trace] for descent in descents],
        }
        yield self._step(task, descents, 1.0, info, began)

    def _descend(
        self,
        task: Task,
        goal: _Goal,
        descents: Sequence[_Descent],
        options: Mapping[str, float],
        began: float,
        most: float,
    ) -> Iterator[Step]:
        """Descends until each search is done, which is so much of the whole progress, at most."""
        before, progressed = min(SHARED, descents[0].steps / task.options["steps"]), partial(self._progress, descents)
        last = self._step(task, descents, before, {})
        yield last
        shown, looked = before, time.perf_counter()
        size = max(1, TOGETHER // len(descents[0].z))
        while active := [descent for descent in descents if not self._done(descent, options)]:
            for first in range(0, len(active), size):
                with closing(self._advance(goal, active[first : first + size], options)) as evaluations:
                    for _ in evaluations:
                        if time.perf_counter() - looked >= PATIENCE and progressed(task, options, most) < 1.0:
                            yield replace(last, progress=progressed(task, options, most))
                            looked = time.perf_counter()
                progress, now = progressed(task, options, most), time.perf_counter()
                if progress < 1.0 and (shown + 1.0 / UPDATES <= progress or now - looked >= PATIENCE):
                    last = self._step(task, descents, progress, {"seconds": now - began})
                    yield last
                    shown, looked = progress, time.perf_counter()

    def _start(self, task: Task, seed: int, found: _Descent | None) -> _Descent:
        """A sample's restarts, around what all samples have found together or, without that, at random."""
        generator = torch.Generator().manual_seed(seed)
        restarts = int(task.options["restarts"])
        if found is None:
            z = 2.0 * torch.rand(restarts, self.config.latent_dim, generator=generator) - 1.0
            return _Descent.at(z.to(self.device))
        noise = torch.randn(restarts, self.config.latent_dim, generator=generator)
        return _Descent.at(found.best_z + START_SPREAD * noise.to(self.device), found.steps)

    def _progress(self, descents: Sequence[_Descent], task: Task, options: Mapping[str, float], most: float) -> float:
        """Evaluations so far as a share of those that are allowed; 1 where all searches have ended for good."""
        ended = [most == 1.0 and self._done(descent, options) for descent in descents]
        shares = [min(most, descent.steps / task.options["steps"]) for descent in descents]
        return sum(1.0 if end else share for end, share in zip(ended, shares, strict=True)) / len(descents)

    def _done(self, descent: _Descent, options: Mapping[str, float]) -> bool:
        if descent.steps >= options["steps"]:
            return True
        if not options["early_stop"] or not descent.trace:
            return False
        last_step, last = descent.trace[-1]
        before = [loss for step, loss in descent.trace if step <= last_step - FLAT_STEPS]
        return bool(before) and before[-1] - last < FLAT_SHARE * abs(last)

    @torch.no_grad()
    def _measure(self, goal: _Goal, descent: _Descent) -> Tensor:
        """The loss at z (r,), remembered where it is the best so far. Raises CompletionError when it is not finite."""
        return self._remember(descent, goal(descent.z))

    def _remember(self, descent: _Descent, loss: Tensor) -> Tensor:
        if not torch.isfinite(loss).all():
            raise CompletionError("the search for z diverged: its loss is not finite")
        better = loss.detach() < descent.best
        descent.best = torch.where(better, loss.detach(), descent.best)
        descent.best_z = torch.where(better[:, None], descent.z, descent.best_z)
        descent.trace.append((descent.steps, float(descent.best.min())))
        return loss

    def _advance(self, goal: _Goal, descents: Sequence[_Descent], options: Mapping[str, float]) -> Generator[None]:
        """One projected step of Adam or momentum each, or a chunk of L-BFGS for all together; yields after each
        evaluation."""
        if options["optimiser"] == L_BFGS:
            yield from self._chunk(goal, descents, int(options["steps"]))
            return
        for descent in descents:
            self._first_order(goal, descent, options)
            yield

    def _first_order(self, goal: _Goal, descent: _Descent, options: Mapping[str, float]) -> None:
        z = descent.z.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self._remember(descent, goal(z)).sum(), z)
        descent.steps += 1
        if options["optimiser"] == MOMENTUM:  # Nesterov's, as Amos has it
            before = descent.memory if descent.memory is not None else torch.zeros_like(z)
            descent.memory = INERTIA * before - MOMENTUM_RATE * gradient
            change = -INERTIA * before + (1.0 + INERTIA) * descent.memory
        else:
            first, second = descent.memory if descent.memory is not None else (torch.zeros_like(z),) * 2
            descent.memory = first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient.square()
            cosine = 0.5 * (1.0 + math.cos(math.pi * descent.steps / options["steps"]))
            rate = ADAM_RATE * (ADAM_FINAL + (1.0 - ADAM_FINAL) * cosine)
            size = (second / (1.0 - 0.99**descent.steps)).sqrt() + 1e-8
            change = -rate * first / (1.0 - 0.9**descent.steps) / size
        descent.z = (descent.z + change).clamp(-1.0, 1.0)

    def _chunk(self, goal: _Goal, descents: Sequence[_Descent], total: int) -> Generator[None]:
        """Some iterations of L-BFGS with the perceptual loss linearised, since the discriminator costs as much again.

        What it lacks is made good at each start of a chunk, where the loss is measured in full.
        """
        slopes = self._linearise(goal, descents)

        def evaluate(which: Sequence[int], z: Tensor) -> tuple[Sequence[Tensor], Tensor]:
            """The loss near each search's start, the perceptual one linear in G(z), and its gradient."""
            z = z.detach().requires_grad_()
            parts = zip(which, self.model.generator(z).split(len(descents[0].z)), strict=True)
            losses = [goal.contextual(fake).sum() + (slopes[index] * fake).sum() for index, fake in parts]
            (gradient,) = torch.autograd.grad(sum(losses), z)
            return [loss.detach() for loss in losses], gradient

        searches = [partial(self._search, descent, total) for descent in descents]
        yield from search_together(searches, evaluate)

    @staticmethod
    def _search(descent: _Descent, total: int, ask: Ask) -> None:
        """A chunk of L-BFGS for one sample."""
        descent.steps += 1
        if descent.memory is None:
            descent.memory = torch.optim.LBFGS(
                [descent.z.clone().requires_grad_()],
                history_size=20,
                line_search_fn="strong_wolfe",
                tolerance_grad=0.0,
                tolerance_change=0.0,
            )
        optimiser, chunk = descent.memory, max(2, min(CHUNK, CHUNK * TOGETHER // len(descent.z)))
        (free,) = optimiser.param_groups[0]["params"]

        def closure() -> Tensor:
            inside = free.detach().clamp(-1.0, 1.0)
            loss, gradient = ask(inside)
            beyond = free.detach() - inside
            free.grad = gradient * (beyond == 0.0) + 2.0 * OUTSIDE * beyond
            descent.steps += 1
            return loss + OUTSIDE * beyond.square().sum()

        left = max(1, min(chunk, total - descent.steps))
        optimiser.param_groups[0].update(max_iter=chunk, max_eval=left)
        optimiser.step(closure)
        descent.z = free.detach().clamp(-1.0, 1.0)

    def _linearise(self, goal: _Goal, descents: Sequence[_Descent]) -> list[Tensor]:
        """Measures each search's loss at its z; returns the slopes of the perceptual losses in G(z), (r, 3, H, W)."""
        with torch.no_grad():
            drawn = self.model.generator(torch.cat([descent.z for descent in descents]))
        drawn.requires_grad_()
        total, contextual, _ = goal.parts(drawn)
        restarts = len(descents[0].z)
        for descent, loss in zip(descents, total.split(restarts), strict=True):
            self._remember(descent, loss)
        (slope,) = torch.autograd.grad((total - contextual).sum(), drawn)
        return list(slope.split(restarts))

    @torch.no_grad()
    def _step(
        self, task: Task, descents: Sequence[_Descent], progress: float, info: dict, began: float | None = None
    ) -> Step:
        """Each sample's best restart: the completion, G(z), and what it is worth."""
        best = [descent.best_z[descent.best.argmin()][None] for descent in descents]
        drawn = torch.cat([self.model.generator(z) for z in best]).cpu()
        image, mask = task.image.cpu(), task.mask.cpu()
        shown = fit(image, mask, drawn, task.options, **RESTRAINT)
        figures = [{"loss": float(descent.best.min())} for descent in descents]
        if began is not None:
            info = info | {
                "seconds": time.perf_counter() - began,
                "figures": figures,
                "latents": torch.cat(best).tolist(),
            }
        elif math.isfinite(figures[0]["loss"]):
            info = info | {"figures": figures}
        unfitted = {"Not blended": keep_observed(image, mask, drawn)} if task.options["blend"] else {}
        return Step(shown, progress, info, {"G(z)": drawn} | unfitted)

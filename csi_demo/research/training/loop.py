"""The training loop: stages, optimiser, averaged weights, checkpoints, time limit, one line a minute.

All randomness of a step comes from (seed, stage, step, process), so a resumed run equals an uninterrupted one.
Distribution over processes and devices is Accelerate's: run the same command under ``accelerate launch``.
"""

from __future__ import annotations

import copy
import math
import os
import platform
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor, nn
from tqdm import tqdm

from ... import weights
from ...device import check_device
from ...errors import TrainingError
from ...files import whole_file
from .muon import Muon
from .reporting import Minute, line, write_curves
from .starting import start_from
from .watching import Watch

CHECKPOINT = "state.pt"
LAUNCHERS = ("ACCELERATE_MIXED_PRECISION", "TORCHELASTIC_RUN_ID")  # who sets them wants several processes
ON_CPUS = "on CPUs use `torchrun --nproc-per-node 2 -m csi_demo train …`"
LOOK = 25  # steps between two looks at the figures where a look makes an accelerator wait


@dataclass(frozen=True)
class Settings:
    """How a model is trained, whatever the model."""

    pictures: tuple[int, ...] = (100_000,)  # how many each stage sees, crops counted
    batch: int = 64  # over all processes
    learning_rate: tuple[float, ...] = (1.5e-3,)  # per stage
    final_rate: float = 0.01  # of the learning rate, at the end of a stage's cosine
    warmup: int = 10_000  # pictures
    betas: tuple[float, float] = (0.9, 0.999)  # of Adam
    ema: float = 0.999
    clip: float = 1.0
    seed: int = 0
    val_pictures: int = 128
    bf16: bool = True
    compile: bool = False
    checkpoint_minutes: float = 2.0
    sheet_minutes: float = 10.0  # between two sheets of fills; 0: none

    def replace(self, **changes: Any):
        return replace(self, **changes)


SettingsT = TypeVar("SettingsT", bound=Settings)
ConfigT = TypeVar("ConfigT")


class Recipe(ABC, Generic[SettingsT, ConfigT]):
    """What the loop needs to know of a model; `overrides` are fields of its config."""

    name: str
    unit: str  # of the loss
    model_type: type[nn.Module]
    files: Mapping[str, tuple[str, ...]] = {}  # as of `weights.save_model`; otherwise one of the recipe's name
    seen: int = 0  # pictures of the present stage so far; the loop keeps it
    settings_type: type[SettingsT]
    config_type: type[ConfigT]

    def __init__(self, settings: SettingsT, overrides: Mapping[str, Any]):
        self.settings: SettingsT = settings
        self.config: ConfigT = self.config_type(**overrides)

    def stages(self) -> tuple[int, ...]:
        """The stages to go through, counted from 1."""
        return (1,)

    @abstractmethod
    def read(self, data: Path) -> tuple[Tensor, Tensor]:
        """Training and validation pictures of a data folder. Raises DataError."""

    def build(self) -> nn.Module:
        """A fresh model, or one that goes on from weights."""
        model = self.model_type(self.config)
        if start := getattr(self.settings, "start", ""):
            start_from(model, start)
        return model

    def begin(self, model: Any, stage: int) -> None:
        """Prepares the model for a stage after the first."""

    def groups(self, model: Any, stage: int) -> list[dict[str, Any]]:
        """The optimiser's parameter groups; a group's "scale" multiplies its learning rate, and an "orthogonal" one is
        Muon's, not Adam's."""
        return [{"params": [parameter for parameter in model.parameters() if parameter.requires_grad], "scale": 1.0}]

    @abstractmethod
    def step(self, model: Any, stage: int, dataset_size: int) -> nn.Module:
        """The module that takes a batch to a dict of scalars, "loss" among them."""

    @abstractmethod
    def batch(self, model: Any, stage: int, frames: Tensor, count: int, rng: np.random.Generator) -> dict[str, Tensor]:
        """Draws a batch; everything random comes from `rng`."""

    @abstractmethod
    def validate(self, model: Any, stage: int, frames: Tensor, dataset_size: int, device) -> dict[str, float]:
        """Mean figures on the validation pictures."""

    def export(self, model: Any, metrics: Mapping[str, Any], folder: Path) -> None:
        """Writes the model's folder of weights."""
        files, config = self.files or {self.name: ("",)}, self.config.to_dict()  # type: ignore[attr-defined]
        weights.save_model(folder, config, model.state_dict(), metrics, files)


class AveragedWeights:
    """Exponential moving average of parameters and float buffers; young averages follow faster."""

    def __init__(self, model: nn.Module, decay: float):
        self.module, self.decay, self.updates = copy.deepcopy(model).eval().requires_grad_(False), decay, 0
        pairs = zip(self.module.state_dict().values(), model.state_dict().values(), strict=True)
        floats = [(mine, followed) for mine, followed in pairs if mine.is_floating_point()]
        self.mine, self.followed = [mine for mine, _ in floats], [followed for _, followed in floats]

    @torch.no_grad()
    def update(self) -> None:
        """Moves a little towards the model's present state, whose tensors are followed where they lie."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(self.mine, self.followed, 1.0 - decay)


def rate(settings: Settings, stage: int, pictures: int) -> float:
    """Learning rate after so many pictures of a stage: linear warm-up, then a cosine."""
    top, total = settings.learning_rate[stage - 1], settings.pictures[stage - 1]
    if pictures < settings.warmup:
        return top * (pictures + 1) / settings.warmup
    done = min(1.0, (pictures - settings.warmup) / max(1, total - settings.warmup))
    cosine = 0.5 + 0.5 * math.cos(math.pi * done)
    return top * (settings.final_rate + (1.0 - settings.final_rate) * cosine)


def hardware(device: torch.device) -> str:
    """The processor or accelerator that trained, in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    return f"{os.cpu_count()} CPU cores, {name}"


def train(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    resume: bool = False,
    minutes: float | None = None,
    device: str = "auto",
    tensorboard: bool = False,
) -> dict[str, Any]:
    """Trains through all stages, or for so many minutes, and leaves a checkpoint, curves, sheets of fills and exported
    weights in `out`.

    device: "auto", "cpu" or "cuda"; tensorboard: curves and sheets for it, too. Returns the metrics. Raises
    DeviceError, DataError for missing packs and TrainingError for a checkpoint that exists or cannot be resumed, or a
    loss that is not finite; then the last good checkpoint stays in place.
    """
    began = time.monotonic()
    settings = recipe.settings
    check_device(device, "--device")
    checkpoint = out / CHECKPOINT
    if checkpoint.is_file() and not resume:
        raise TrainingError(f"{checkpoint} exists: pass --resume to go on with it, or another --out to start afresh")
    needed = recipe.stages()[-1]
    for name in ("pictures", "learning_rate"):
        values = getattr(settings, name)
        if not isinstance(values, (tuple, list)) or len(values) < needed:
            raise TrainingError(f"{name}={values} needs {needed} numbers with commas between them, one per stage")
    frames, held_out = recipe.read(data)
    AcceleratorState._reset_state()  # an earlier training in this process may have had another precision
    accelerator = Accelerator(cpu=device == "cpu", mixed_precision="bf16" if settings.bf16 else "no")
    if settings.batch % accelerator.num_processes:
        raise TrainingError(f"batch {settings.batch} does not divide among {accelerator.num_processes} processes")
    if accelerator.num_processes == 1 and any(name in os.environ for name in LAUNCHERS):
        print(f"csi_demo: one process alone takes part: {ON_CPUS}", file=sys.stderr)
    held_out = held_out[: settings.val_pictures]
    frames = frames.to(accelerator.device)  # as uint8: a batch is drawn where it is used
    look = LOOK if accelerator.device.type == "cuda" else 1
    torch.backends.cudnn.benchmark = True  # batches keep their shapes
    torch.manual_seed(settings.seed)
    model = recipe.build().to(accelerator.device)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    average = AveragedWeights(model, settings.ema)
    progress: dict[str, Any] = {"stage": 1, "pictures": 0, "steps": 0, "seconds": 0.0, "history": [], "optimiser": None}
    if resume and checkpoint.is_file():
        progress = _load(checkpoint, model, average)
    earlier = progress["seconds"]
    stopping, checkpoints, sheets = (
        _Stop(minutes, began),
        Timer(settings.checkpoint_minutes),
        Timer(settings.sheet_minutes),
    )
    figures = Minute()
    watch = (
        Watch(recipe.name if settings.sheet_minutes else "", out, held_out, tensorboard)
        if accelerator.is_main_process
        else None
    )

    optimiser: Any = None

    def save() -> None:
        figures.read_pending()
        if optimiser is not None:
            progress["optimiser"] = optimiser.state_dict()
        progress["seconds"] = earlier + time.monotonic() - began
        if accelerator.is_main_process:
            _save(checkpoint, model, average, progress)
            metrics = _metrics(recipe, progress, accelerator)
            recipe.export(average.module, metrics, out / recipe.name)
            write_curves(out, progress["history"], recipe.unit)

    def report(stage: int) -> None:
        """A row of the history, from the figures since the last one."""
        with accelerator.autocast():
            val = recipe.validate(average.module, stage, held_out, len(frames), accelerator.device)
        hours = (earlier + time.monotonic() - began) / 3600
        row = {"stage": stage, "pictures": progress["pictures"], "hours": round(hours, 4)}
        row |= {f"train_{key}": round(value, 5) for key, value in figures.means().items()}
        row |= {f"val_{key}": round(value, 5) for key, value in val.items()}
        progress["history"].append(row)
        if watch is not None:
            watch.row(row)
        tqdm.write(line(row, figures.restart(progress["pictures"])))

    last_stage = recipe.stages()[-1]
    for stage in recipe.stages():
        if stage < progress["stage"]:
            continue
        if stage > progress["stage"]:
            progress |= {"stage": stage, "pictures": 0, "steps": 0, "optimiser": None}
            optimiser = None
        total = settings.pictures[stage - 1]
        step = recipe.step(model, stage, len(frames))
        optimiser = Muon(recipe.groups(model, stage), betas=(settings.betas[0], settings.betas[1]), fused=True)
        parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        figures.restart(progress["pictures"])
        if progress["optimiser"] is not None:
            optimiser.load_state_dict(progress["optimiser"])
        step, optimiser = accelerator.prepare(step, optimiser)
        step.train()
        bar = tqdm(total=total, initial=progress["pictures"], desc=f"stage {stage}", unit=" pictures", disable=None)
        while progress["pictures"] < total and not stopping(accelerator):
            entropy = (settings.seed, stage, progress["steps"], accelerator.process_index)
            rng = np.random.default_rng(entropy)
            torch.manual_seed(int(rng.integers(2**62)))
            for group in optimiser.param_groups:
                group["lr"] = group["scale"] * rate(settings, stage, progress["pictures"])
            recipe.seen = progress["pictures"]
            batch = recipe.batch(model, stage, frames, settings.batch // accelerator.num_processes, rng)
            moved = {key: tensor.to(accelerator.device) if tensor.dim() else tensor for key, tensor in batch.items()}
            terms = step(**moved)  # single numbers stay on the CPU: they are switches, which must not be waited for
            figures.add(terms, f"stage {stage}, step {progress['steps']}")
            if progress["steps"] % look == 0:
                figures.read_pending()
            accelerator.backward(terms["loss"])
            accelerator.clip_grad_norm_(parameters, settings.clip)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
            average.update()
            progress["steps"] += 1
            progress["pictures"] += settings.batch
            bar.update(settings.batch)
            done = progress["pictures"] >= total
            if accelerator.is_main_process and (figures.due() or done):
                report(stage)
            if done or checkpoints.due():
                save()
                if watch is not None and (done or sheets.due()):
                    watch.sheet(stage, progress["pictures"])
        bar.close()
        if progress["pictures"] < total:
            if accelerator.is_main_process and figures.taken:
                report(stage)
            break
        if stage != last_stage:
            model.load_state_dict(average.module.state_dict())  # the next stage builds on the averaged weights
            recipe.begin(model, stage + 1)
            average.module.load_state_dict(model.state_dict())
            average.updates = 0
        accelerator.free_memory()
    save()
    if watch is not None:
        if progress["pictures"] < settings.pictures[progress["stage"] - 1]:
            watch.sheet(progress["stage"], progress["pictures"])
        watch.close()
    return _metrics(recipe, progress, accelerator)


class _Stop:
    """Says when to stop: after the time limit, or on SIGINT and SIGTERM; on all processes alike."""

    def __init__(self, minutes: float | None, began: float):
        self.end = began + 60.0 * minutes if minutes is not None else math.inf
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True

    def __call__(self, accelerator: Accelerator) -> bool:
        now = self.asked or time.monotonic() >= self.end
        if accelerator.num_processes > 1:
            now = bool(accelerator.reduce(torch.tensor(float(now), device=accelerator.device), "sum") > 0)
        return now


class Timer:
    """Says when so many minutes are over, and begins anew."""

    def __init__(self, minutes: float) -> None:
        self.minutes, self.last = minutes, time.monotonic()

    def due(self) -> bool:
        due = time.monotonic() - self.last >= 60.0 * self.minutes
        if due:
            self.last = time.monotonic()
        return due


def _save(file: Path, model: nn.Module, average: AveragedWeights, progress: Mapping[str, Any]) -> None:
    state = {"model": model.state_dict(), "average": average.module.state_dict(), "updates": average.updates}
    try:
        with whole_file(file) as part:
            torch.save(state | dict(progress), part)
    except (OSError, RuntimeError) as error:  # torch's writer says only that it could not write
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        stays = "; the last checkpoint stays" if file.is_file() else ""
        raise TrainingError(f"{file} cannot be written: {cause.strerror or cause}{stays}") from None


def _load(file: Path, model: nn.Module, average: AveragedWeights) -> dict[str, Any]:
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        model.load_state_dict(state.pop("model"))
        average.module.load_state_dict(state.pop("average"))
        average.updates = state.pop("updates")
    except Exception as error:
        raise TrainingError(f"{file} cannot be resumed with these settings: {str(error).splitlines()[0]}") from None
    return state


def _metrics(recipe: Recipe, progress: Mapping[str, Any], accelerator: Accelerator) -> dict[str, Any]:
    seen = {}
    for row in progress["history"]:
        seen[str(row["stage"])] = row["pictures"]
    seen[str(progress["stage"])] = progress["pictures"]
    return {
        "training": {
            "pictures_per_stage": seen,
            "hours": round(progress["seconds"] / 3600, 3),
            "hardware": hardware(accelerator.device),
            "processes": accelerator.num_processes,
            "torch": torch.__version__,
            "settings": asdict(recipe.settings),
            "curve": progress["history"],
        }
    }

"""The seam: what every way of filling a hole has in common. An interface is drawn from these declarations alone."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import CompletionError, ControlError

if TYPE_CHECKING:  # so that what there is can be listed before PyTorch is loaded
    import torch
    from torch import Tensor

Number = float | int


@dataclass(frozen=True)
class Control:
    """A number that a visitor may set. ``default=None``: left to what the method infers from the picture.

    kind: what sort of control it is where a method has several, such as "latent" or "named latent"; "" otherwise.
    """

    name: str
    label: str
    minimum: float
    maximum: float
    default: float | None
    help: str
    step: float = 0.1
    kind: str = ""

    def check(self, value: Number) -> float:
        """The value as a float; raises ControlError when it is no number or out of range."""
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ControlError(f"{self.name}={value!r:.40} is not a number") from None
        except OverflowError:
            number = math.inf
        if not math.isfinite(number) or not self.minimum <= number <= self.maximum:
            raise ControlError(f"{self.name}={number:g} is out of range: {self.minimum:g} to {self.maximum:g}")
        if self.whole and number != round(number):
            raise ControlError(f"{self.name}={number:g} is not a whole number")
        return number

    @property
    def whole(self) -> bool:
        """Whether only whole numbers make sense."""
        return self.step == 1

    @property
    def switch(self) -> bool:
        """Whether it is off or on, 0 or 1."""
        return self.whole and (self.minimum, self.maximum) == (0, 1)


def toggle(name: str, label: str, default: bool, text: str) -> Control:
    """A control that is off or on, 0 or 1."""
    return Control(name, label, 0.0, 1.0, float(default), text, step=1.0)


@dataclass(frozen=True)
class Step:
    """A moment of a completion. images: (n, 3, 64, 64) in [-1, 1], observed pixels exact; progress: 0 to 1, monotone.

    info is filled in on the last step: "seconds", "figures" (for each sample, name -> what the method optimised or how
    likely it holds the fill to be), "bits_per_dim" (one number a sample) where the method has a likelihood, and what
    else the method reports. views: other pictures of the same moment, name -> (n, 3, 64, 64).
    """

    images: Tensor
    progress: float
    info: dict[str, Any] = field(default_factory=dict)
    views: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a method is asked to do. image: (1, 3, H, W); mask: (1, 1, H, W), 1 = observed; controls: those that are set
    or have a default; options: all."""

    image: Tensor
    mask: Tensor
    seeds: tuple[int, ...]
    controls: dict[str, float]
    options: dict[str, float]

    def on(self, device: torch.device | str) -> Task:
        """The same with its pictures on a device."""
        return replace(self, image=self.image.to(device), mask=self.mask.to(device))


class Method(ABC):
    """A way of filling a hole. `load_method` makes one and keeps it."""

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    options: ClassVar[tuple[Control, ...]] = ()
    accelerated: ClassVar[bool] = False  # whether its model profits from a GPU; otherwise it stays on the CPU
    model: Any
    device: torch.device | str = "cpu"  # of its model; pictures and noise come from the CPU and go back to it

    def place(self, device: torch.device) -> None:
        """Moves the model to a device if it is accelerated."""
        if self.accelerated:
            self.device, self.model = device, self.model.to(device)

    def __reduce__(self) -> tuple[Any, ...]:
        """To another process goes the name: the method is loaded there, or already is where a process was forked."""
        from . import load_method

        return load_method, (self.name,)

    @property
    def live(self) -> bool:
        """Whether a completion is quick enough to follow a slider while it moves."""
        return False

    @property
    @abstractmethod
    def controls(self) -> tuple[Control, ...]:
        """The controls to offer, strongest first."""

    def complete(
        self,
        image: Tensor,
        mask: Tensor,
        seeds: Sequence[int] = (0,),
        controls: Mapping[str, Number] | None = None,
        options: Mapping[str, Number] | None = None,
    ) -> Iterator[Step]:
        """Fills the hole once for every seed.

        image: (1, 3, 64, 64) in [-1, 1]; mask: (1, 1, 64, 64), 1 = observed. Sample k depends on seeds[k] alone. Raises
        ControlError for an unknown control or option or a value out of range, ValueError for an empty hole.
        """
        check_inputs(image, mask, seeds)
        checked = self.check_controls(controls), self.check_options(options)
        return self._complete(Task(image, mask, tuple(seeds), *checked))

    @abstractmethod
    def _complete(self, task: Task) -> Iterator[Step]:
        """What `complete` was asked for, checked."""

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        """Where this picture's controls stand before anyone moves them: name -> value."""
        return {control.name: control.default for control in self.controls if control.default is not None}

    def surprise(self, image: Tensor, mask: Tensor, seed: int) -> dict[str, float]:
        """Control values to be surprised by, drawn with a seed around where they stand: name -> value."""
        return {}

    def relevance(self, mask: Tensor) -> dict[str, float]:
        """What controls are ordered by for a hole, mask: (1, 1, H, W): name -> how strongly it acts there, below 0
        where it is not to be offered. Only of controls for which that was measured."""
        return {}

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Pictures (count, 3, 64, 64) in [-1, 1] drawn from the prior. Raises CompletionError where there is none."""
        raise CompletionError(f"{self.name} completes pictures: it draws none from its prior alone")

    def true_bits(self, image: Tensor, mask: Tensor, seed: int = 0) -> float | None:
        """-log2 p of the hole's true pixels per pixel and channel, given the context; None without a likelihood."""
        return None

    def split(self, settings: Mapping[str, Number]) -> tuple[dict[str, Number], dict[str, Number]]:
        """Settings by name as controls and options; what is neither counts as a control, and is refused as one."""
        names = {option.name for option in self.options}
        controls = {name: value for name, value in settings.items() if name not in names}
        return controls, {name: value for name, value in settings.items() if name in names}

    def check_controls(self, controls: Mapping[str, Number] | None) -> dict[str, float]:
        """The controls that are given, checked, or have a default."""
        return check_all(self.controls, controls, f"control of {self.name}")

    def check_options(self, options: Mapping[str, Number] | None) -> dict[str, float]:
        """All options, the given ones checked, the others at their default."""
        return check_all(self.options, options, f"option of {self.name}")


def check_all(known: Sequence[Control], given: Mapping[str, Number] | None, what: str) -> dict[str, float]:
    """Checked values of the given controls over the defaults of the known ones. Raises ControlError."""
    by_name = {control.name: control for control in known}
    values = {control.name: control.default for control in known if control.default is not None}
    for name, value in (given or {}).items():
        if name not in by_name:
            raise ControlError(f"unknown {what}: {name!r}; it has: {', '.join(by_name) or 'none'}")
        values[name] = by_name[name].check(value)
    return values


def check_inputs(image: Tensor, mask: Tensor, seeds: Sequence[int]) -> None:
    """Raises ValueError unless image (1, 3, H, W), mask (1, 1, H, W) with a hole, and at least one seed are given."""
    if image.dim() != 4 or image.shape[:2] != (1, 3) or mask.shape != (1, 1, *image.shape[2:]):
        raise ValueError(f"need an image (1, 3, H, W) and a mask (1, 1, H, W), got {image.shape} and {mask.shape}")
    if bool((mask > 0.5).all()):
        raise ValueError("the mask has no hole: nothing to fill in")
    if not seeds:
        raise ValueError("no seeds: give one for every sample")
    if any(not 0 <= seed < 2**63 for seed in seeds):
        raise ValueError("a seed is a whole number from 0 to 2^63 - 1")


def keep_observed(image: Tensor, mask: Tensor, fill: Tensor) -> Tensor:
    """The fill inside the hole, the image's own pixels, bit for bit, everywhere else."""
    return image.where(mask > 0.5, fill)

"""The seam: what every way of filling a hole has in common. An interface is drawn from these declarations alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from ..device import plain_steps, plain_torch
from ..errors import CompletionError, ControlError, MaskError, UsageError
from ..masks import to_mask
from ..pixels import mask_to_tensor, to_float
from . import checks

if TYPE_CHECKING:  # so that what there is can be listed before PyTorch is loaded
    import torch
    from torch import Tensor

Number = float | int
BEYOND = 1.001  # an image may miss its range by rounding


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
            number = checks.number(value, self.name, finite=False)
        except UsageError:
            raise ControlError(f"{self.name}={value!r:.40} is not a number") from None
        if not self.minimum <= number <= self.maximum:
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
    or have a default; options: all; hints: (1, 4, H, W), see `Method.complete`."""

    image: Tensor
    mask: Tensor
    seeds: tuple[int, ...]
    controls: dict[str, float]
    options: dict[str, float]
    hints: Tensor | None = None

    def on(self, device: torch.device | str) -> Task:
        """The same with its pictures on a device."""
        return replace(self, image=self.image.to(device), mask=self.mask.to(device))


class Method(ABC):
    """A way of filling a hole. `load_method` makes one and keeps it."""

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    options: ClassVar[tuple[Control, ...]] = ()
    takes_hints: ClassVar[bool] = False  # whether a fill obeys dabs of paint in the hole
    accelerated: ClassVar[bool] = False  # whether its model profits from a GPU; otherwise it stays on the CPU
    model: Any
    device: torch.device | str = "cpu"  # of its model; pictures and noise come from the CPU and go back to it

    def __init_subclass__(cls) -> None:
        """Whatever loads or computes does so in `plain_torch`."""
        super().__init_subclass__()
        for name in ("__init__", "start_values", "surprise", "sample", "true_bits"):
            if name in vars(cls):
                setattr(cls, name, plain_torch()(vars(cls)[name]))

    def place(self, device: torch.device) -> None:
        """Moves the model to a device if it is accelerated."""
        if self.accelerated:
            self.device, self.model = device, self.model.to(device)

    def __repr__(self) -> str:
        options = ", ".join(option.name for option in self.options) or "none"
        return f"<method {self.name} ({self.label}) on {self.device}: {len(self.controls)} controls, options {options}>"

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
        hints: Tensor | None = None,
    ) -> Iterator[Step]:
        """Fills the hole once for every seed.

        image: (1, 3, 64, 64) in [-1, 1], or uint8; mask: (1, 1, 64, 64), 1 = observed, or what else `masks.to_mask`
        takes. hints: paint in the hole, (1, 4, 64, 64), colours in [-1, 1] and the share of each pixel that is painted.
        Sample k depends on seeds[k] alone. Raises ControlError for an unknown control or option or a value out of
        range, UsageError for another image, seed or hints, MaskError for another mask or one without a hole.
        """
        with plain_torch():
            image, mask = check_inputs(image, mask)
        checked = self.check_controls(controls), self.check_options(options)
        paint = self.check_hints(hints, image)
        return plain_steps(self._complete(Task(image, mask, checks.seeds(seeds), *checked, paint)))

    @abstractmethod
    def _complete(self, task: Task) -> Iterator[Step]:
        """What `complete` was asked for, checked."""

    def start_values(self, image: Tensor, mask: Tensor) -> dict[str, float]:
        """Where this picture's controls stand before anyone moves them: name -> value."""
        return {control.name: control.default for control in self.controls if control.default is not None}

    def surprise(self, image: Tensor, mask: Tensor, seed: int) -> dict[str, float]:
        """Control values to be surprised by, drawn with a seed around where they stand: name -> value."""
        return {}

    def presets(self, mask: Tensor) -> dict[str, dict[str, float]]:
        """Several controls at once: label -> values of controls, of those that a hole shows; mask: (1, 1, H, W)."""
        return {}

    def previews(self, image: Tensor, mask: Tensor, settings: Sequence[Mapping[str, float]]) -> Tensor:
        """What the hole would show with each of several settings of the controls, drawn quickly and not for good: (n,
        3, H, W). Raises CompletionError where there is no quick way."""
        raise CompletionError(f"{self.name} draws no previews")

    def relevance(self, mask: Tensor) -> dict[str, float]:
        """How strongly each control acts in a hole, by name; mask: (1, 1, H, W). It is below 0 where it is not to be
        offered. Only of controls for which that was measured."""
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

    def check_hints(self, hints: Tensor | None, image: Tensor) -> Tensor | None:
        """Hints for an image (1, 3, H, W), as `complete` takes them. Raises UsageError."""
        if hints is None:
            return None
        if not self.takes_hints:
            raise UsageError(f"{self.name} takes no colour hints: csi does")
        shape, given = (1, 4, *image.shape[2:]), tuple(getattr(hints, "shape", ()))
        if given != shape or not hasattr(hints, "aminmax") or not float(hints.abs().max()) <= BEYOND:
            raise UsageError(f"hints {given or type(hints).__name__}: need numbers {shape} from -1 to 1")
        return hints.detach().float().clone()

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


def check_inputs(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """An image (1, 3, H, W) in [-1, 1] and its mask as float32 (1, 1, H, W), 1 = observed, on the image's device.

    Raises UsageError for what is no such image, MaskError for what is no mask of its size with a hole in it.
    """
    shape = tuple(getattr(image, "shape", ()))
    if not hasattr(image, "aminmax") or len(shape) not in (3, 4) or shape[-3] != 3 or shape[:-3] not in ((), (1,)):
        raise UsageError(f"need an image, a tensor (1, 3, H, W), got {shape or type(image).__name__}")
    image = image.detach().reshape(1, *shape[-3:])
    if not image.dtype.is_floating_point:
        if image.element_size() > 1 or image.dtype.is_signed:
            raise UsageError(f"an image of {image.dtype}: need floats from -1 to 1, or uint8")
        image = to_float(image)
    least, most = (float(value) for value in image.aminmax())
    if not (least >= -BEYOND and most <= BEYOND):  # nor for what is no number
        raise UsageError(f"an image from {least:g} to {most:g}: need floats from -1 to 1, or uint8")
    keep = to_mask(mask)
    if keep.shape != tuple(image.shape[2:]):
        raise MaskError(f"a mask of {keep.shape} for an image of {tuple(image.shape[2:])}: make them one size")
    if keep.all():
        raise MaskError("the mask has no hole: nothing to fill in")
    image = image.float().clone()  # of the caller's inference mode no gradient could be taken
    return image, mask_to_tensor(keep).to(image)


def keep_observed(image: Tensor, mask: Tensor, fill: Tensor) -> Tensor:
    """The fill inside the hole, the image's own pixels, bit for bit, everywhere else."""
    return image.where(mask > 0.5, fill)

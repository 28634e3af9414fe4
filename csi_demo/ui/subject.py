"""What a visitor's values say: photo and hole, numbers, sliders; checked here, since no component checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..complete import Subject
from ..errors import PageError
from ..methods import Control
from . import painter, photo
from .photo import Photo


@dataclass(frozen=True)
class Painted:
    """A photo with a hole painted into its view, cut to the frame."""

    photo: Photo
    subject: Subject  # of the view
    cut: bool  # the visitor painted outside the frame, too

    def key(self, method: str) -> tuple[str, str, str, str]:
        """Two have the same one when their sliders start alike."""
        hole = hashlib.sha256(self.subject.frame_mask.tobytes()).hexdigest()
        return method, self.photo.key, str(self.photo.place), hole


@dataclass(frozen=True)
class Start:
    """Where the sliders stood before the visitor moved any, and for what: the key of what was painted. slots: what each
    slot of the page shows, as `engine.slots` has it."""

    subject: tuple[str, str, str, str]
    values: dict[str, float]
    slots: tuple[Control | None, ...]


def whole(value: object, what: str, low: int, high: int) -> int:
    """The value as a whole number from low to high. Raises PageError."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")
    if not low <= number <= high or number != int(number):
        raise PageError(f"{what} is a whole number from {low} to {high}.")
    return int(number)


def read_photo(painting: object) -> Photo:
    """The photo that the painter shows. Raises PageError."""
    return photo.kept(painter.read(painting).get("photo"))


def read_painting(painting: object) -> Painted:
    """Photo and hole of what the painter sends. Raises PageError."""
    content = painter.read(painting)
    shown = photo.kept(content.get("photo"))
    mask, cut = shown.cut(painter.to_mask(content, shown.view.size))
    return Painted(shown, shown.subject(mask), cut)


def on_grid(control: Control, value: float | None) -> float:
    """The slider position nearest to a value; the middle of the slider for None."""
    middle = (control.minimum + control.maximum) / 2
    steps = round(((middle if value is None else value) - control.minimum) / control.step)
    return max(control.minimum, min(control.maximum, round(control.minimum + steps * control.step, 6)))


def moved(controls: Sequence[Control], start: Mapping[str, float], values: Sequence[object]) -> dict[str, float]:
    """The controls that stand elsewhere than at the start, by name. Raises ControlError for a value out of range."""
    changed = {}
    for control, value in zip(controls, values, strict=False):
        number = control.check(float(value) if control.switch and isinstance(value, bool) else value)  # type: ignore[arg-type]
        if abs(number - start[control.name]) > control.step / 2:
            changed[control.name] = number
    return changed

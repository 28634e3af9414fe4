"""What a visitor's values say: photo and hole, numbers, sliders; checked here, since no component checks them."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..complete import Subject
from ..errors import ControlError, PageError, UsageError
from ..hints import Hint, as_hints, paint
from ..methods import Control, Method
from . import engine, painter, photo
from .photo import Photo

START_COST = 8192  # bytes of a `Start`, about


@dataclass(frozen=True)
class Painted:
    """A photo with a hole painted into its view, cut to the frame."""

    photo: Photo
    subject: Subject  # of the view
    cut: bool  # the visitor painted outside the frame, too
    edit: int = 0  # the browser's number of this state of the painting
    hints: tuple[Hint, ...] = ()  # in pixels of the view; none that misses the hole
    held: frozenset[str] = frozenset()  # controls that stay where they stand

    @property
    def suggested(self) -> Mapping[str, float] | None:
        """See `Photo.suggested`."""
        return self.photo.suggested(self.subject.mask)

    def key(self, method: str) -> tuple[str, ...]:
        """Two have the same one when their sliders start alike. The first two say which method and which photo."""
        hole = hashlib.sha256(self.subject.frame_mask.tobytes()).hexdigest()
        return method, self.photo.key, str(self.photo.place), hole, str(self.suggested)


@dataclass(frozen=True)
class Start:
    """Where the sliders stood before the visitor moved any, and for what: the key of what was painted.

    slots: what each slot of the page shows, as `engine.slots` has it; shown: where they were drawn, which is elsewhere
    than at their start where they were suggested, or moved before. The browser holds the key of one in `photo.KEPT`
    beside the values of its slots, and sends both together: whatever has been painted since, the names of the values
    are known.
    """

    subject: tuple[str, ...]
    values: dict[str, float]
    slots: tuple[Control | None, ...]
    shown: dict[str, float]

    @classmethod
    def of(cls, painted: Painted, method: Method, before: Mapping[str, float] | None = None) -> Start:
        """Where the sliders start for a hole. before: what the visitor moved for another hole; it stays where this one
        has such a control, unless an example, a link or an earlier result says where this one's stand."""
        inferred = painted.subject.start_values(method)
        slots = engine.slots(method, painted.subject.relevance(method))
        known = {slot.name: slot for slot in slots if slot}
        values = {name: on_grid(slot, inferred.get(name, slot.default)) for name, slot in known.items()}
        wanted = painted.suggested if painted.suggested is not None else before or {}
        shown = values | {name: on_grid(known[name], value) for name, value in wanted.items() if name in known}
        return cls(painted.key(method.name), values, slots, shown)

    def moved(self, slots: Sequence[object], held: Collection[str] = ()) -> dict[str, float]:
        """What the visitor moved, and what is held where it stands, by name; slots: values, in the order of
        `engine.slots`. Raises ControlError."""
        pairs = [(slot, value) for slot, value in zip(self.slots, slots, strict=False) if slot]
        start = {name: value for name, value in self.values.items() if name not in held}
        return moved([slot for slot, _ in pairs], start, [value for _, value in pairs])

    def carried(self, painted: Painted, method: Method, slots: Sequence[object]) -> dict[str, float]:
        """What of that goes on to another hole of the same photo: what is no value of its slider does not."""
        found: dict[str, float] = {}
        if self.subject[:2] == painted.key(method.name)[:2]:
            for slot, value in zip(self.slots, slots, strict=False):
                with suppress(ControlError):
                    found |= moved([slot], self.values, [value]) if slot else {}
        return found

    def kept(self) -> str:
        """Its key in `photo.KEPT`, a new one."""
        return photo.KEPT.put(self, START_COST)


def kept_start(key: object) -> Start | None:
    """The start of this key, if it is still there."""
    start = photo.KEPT.get(key)
    return start if isinstance(start, Start) else None


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
    edit = content.get("edit")
    subject, hints = shown.subject(mask), as_hints(content.get("hints"))
    try:
        paint(hints, subject.placement, subject.frame_mask)
    except UsageError:
        hints = ()  # they were painted into another hole
    return Painted(
        shown, subject, cut, edit if type(edit) is int and 0 <= edit < 2**53 else 0, hints, read_held(painting)
    )


def read_held(painting: object) -> frozenset[str]:
    """The names of the controls that are held where they stand, as the painter sends them; raises as `painter.read`."""
    names = painter.read(painting).get("held")
    return (
        frozenset(name for name in names[: engine.MAX_CONTROLS] if isinstance(name, str))
        if isinstance(names, list)
        else frozenset()
    )


def on_grid(control: Control, value: float | None) -> float:
    """The slider position nearest to a value; the middle of the slider for None."""
    middle = (control.minimum + control.maximum) / 2
    steps = round(((middle if value is None else value) - control.minimum) / control.step)
    return max(control.minimum, min(control.maximum, round(control.minimum + steps * control.step, 6)))


def moved(controls: Sequence[Control], start: Mapping[str, float], values: Sequence[object]) -> dict[str, float]:
    """The controls that stand elsewhere than at the start, or have none, by name. Raises ControlError out of range."""
    changed = {}
    for control, value in zip(controls, values, strict=False):
        number = control.check(float(value) if control.switch and isinstance(value, bool) else value)  # type: ignore[arg-type]
        if control.name not in start or abs(number - start[control.name]) > control.step / 2:
            changed[control.name] = number
    return changed

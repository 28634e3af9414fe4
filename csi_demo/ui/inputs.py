"""What the page's components hold when a hole is to be filled, and the fill that they ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..complete import Request
from ..methods import Method
from . import engine
from .engine import MAX_SAMPLES, MAX_SEED
from .examples import Example, hole_name, place_name
from .fills import Display
from .results import chosen_display
from .subject import Painted, Start, kept_start, read_painting, whole


@dataclass(frozen=True)
class PageInputs:
    """What the page's components hold when the hole is to be filled, unchecked.

    start: the key of the `Start` that the browser's sliders were drawn from, perhaps for the hole before; slots: their
    values, in the order of `engine.slots`.
    """

    method: Any
    painting: object
    display: Display
    start: object
    seed: object
    samples: object
    slots: tuple[object, ...]
    compared: object = None  # names of the methods that a comparison is to run; None: all

    @classmethod
    def of(cls, *values: Any) -> PageInputs:
        """In the order in which the page sends them."""
        method, painting, enlargement, where, refine, start, seed, samples, *slots = values
        return cls(method, painting, chosen_display(enlargement, where, refine), start, seed, samples, tuple(slots))

    def order(self) -> Order:
        """The fill that is wanted. Raises PageError or ControlError."""
        painted, method = read_painting(self.painting), engine.load(self.method)
        return Order.of(painted, method, self.seed, self.samples, self.settings(painted, method))

    def settings(self, painted: Painted, method: Method) -> dict[str, float]:
        """What the visitor moved of a method's controls and options, by name. Raises ControlError.

        Where the sliders are still those of the hole before: what they will show.
        """
        start = self.own_start(painted, method)
        if start:
            return start.moved(self.slots, painted.held)
        before = kept_start(self.start)
        carried = before.carried(painted, method, self.slots) if before else {}
        if not (carried or painted.suggested or painted.held):
            return {}
        start = Start.of(painted, method, carried)
        return start.moved([start.shown[slot.name] if slot else None for slot in start.slots], painted.held)

    def own_start(self, painted: Painted, method: Method) -> Start | None:
        """Where the slots stood, if they were drawn for this photo, hole and method."""
        start = kept_start(self.start)
        return start if start and start.subject == painted.key(method.name) else None


@dataclass(frozen=True)
class Order:
    """A request for what was painted."""

    painted: Painted
    request: Request

    @classmethod
    def of(
        cls, painted: Painted, method: Method, seed: object, samples: object, settings: Mapping[str, float]
    ) -> Order:
        """Raises PageError or ControlError."""
        first = whole(seed, "The seed", 0, MAX_SEED)
        seeds = tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))
        hints = painted.hints if method.takes_hints else ()
        return cls(painted, Request(painted.subject, method, seeds, *method.split(settings), hints=hints))

    def link(self) -> str:
        """The query that asks for this fill again; "" for a visitor's own photo, and with hints."""
        shown, request = self.painted.photo, self.request
        if not shown.example or request.hints:
            return ""
        return Example(
            photo=shown.example,
            title="",
            hole=hole_name(shown, self.painted.subject.mask),
            seed=request.seeds[0],
            samples=len(request.seeds),
            method=request.method.name,
            settings={**request.controls, **request.options},
            place=place_name(shown),
        ).link()

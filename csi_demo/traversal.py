"""Sheets of what CSI's controls change in one photo's hole: one control a row, or two against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from .complete import Request, Subject
from .errors import ControlError
from .methods import Control, Method
from .models.logistic_mixture import PAPER_TRUNCATION
from .photo.sheets import sheet

COLUMNS = 5
EXTREME = 2.5  # of a latent; a named one is traversed over its range
CALM = {
    "spread": 0.0,
    "truncation": PAPER_TRUNCATION,
}  # likeliest latents and the paper's pixels: the control alone differs


def strongest(subject: Subject, method: Method, count: int) -> list[str]:
    """The controls that act most strongly in a hole; all alike where none was measured."""
    ranks = subject.relevance(method)
    names = [control.name for control in method.controls]
    return sorted(names, key=lambda name: -ranks.get(name, 0.0))[:count]


def traversal_sheet(subject: Subject, method: Method, names: Sequence[str], seed: int = 0) -> Image.Image:
    """The hole of a frame with each control at each of its values, all else equal: a row for every control.

    Raises ControlError for an unknown control, and as `Request.steps`.
    """
    known = [_control(name, method) for name in names]
    positions = [_positions(control) for control in known]
    rows = [
        [_filled(subject, method, {control.name: value}, seed) for value in values]
        for control, values in zip(known, positions, strict=True)
    ]
    return sheet(rows, [_label(control) for control in known], [list(map(_signed, values)) for values in positions])


def grid_sheet(subject: Subject, method: Method, names: Sequence[str], seed: int = 0) -> Image.Image:
    """The hole with the first of two controls' values from row to row and the second's from column to column.

    Raises as `traversal_sheet`.
    """
    first, second = (_control(name, method) for name in names)
    if first == second:
        raise ControlError(f"{first.name} twice: a grid needs two controls")
    rows = [
        [_filled(subject, method, {first.name: down, second.name: across}, seed) for across in _positions(second)]
        for down in _positions(first)
    ]
    labels = [f"{first.label}\n{_signed(value)}" for value in _positions(first)]
    captions = [[_signed(value) for value in _positions(second)]] * len(rows)
    return sheet(rows, labels, captions, f"across: {second.label}")


def _control(name: str, method: Method) -> Control:
    known = {control.name: control for control in method.controls}
    if name not in known:
        raise ControlError(f"unknown control of {method.name}: {name!r}; it has: {', '.join(known)}")
    return known[name]


def _positions(control: Control) -> list[float]:
    low, high = (-EXTREME, EXTREME) if control.kind == "latent" else (control.minimum, control.maximum)
    return [round(float(value), 2) for value in np.linspace(low, high, COLUMNS)]


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def _label(control: Control) -> str:
    """The label in lines that are not too long."""
    return control.label.replace(" + ", " +\n").replace(" (", "\n(")


def _filled(subject: Subject, method: Method, controls: Mapping[str, float], seed: int) -> Image.Image:
    calm = {option.name: CALM[option.name] for option in method.options if option.name in CALM}
    return Request(subject, method, (seed,), controls, calm).last_step().pictures[0]

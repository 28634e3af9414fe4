"""Sheets of what CSI's controls change in one photo's hole: one control a row, or two against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from ...complete import complete_frame, relevance
from ...errors import ControlError
from ...methods import Control, list_controls, load_method
from ...models.logistic_mixture import TRUNCATION
from ...sheets import sheet

COLUMNS = 5
EXTREME = 2.5  # of a latent; a direction is traversed over its range
CALM = {"spread": 0.0, "truncation": TRUNCATION}  # likeliest latents and the paper's pixels: the control alone differs


def strongest(mask: np.ndarray, count: int) -> list[str]:
    """The controls that act most strongly in a hole, boolean (64, 64), True = observed; all alike where none was
    measured."""
    ranks = relevance(mask)
    names = [control.name for control in list_controls("csi")]
    return sorted(names, key=lambda name: -ranks.get(name, 0.0))[:count]


def traversal_sheet(
    frame: Image.Image, mask: np.ndarray, names: Sequence[str], seed: int = 0, method: str = "csi"
) -> Image.Image:
    """The hole of a 64x64 frame with each control at each of its values, all else equal: a row for every control.

    Raises ControlError for an unknown control, and as `complete_frame`.
    """
    known = [_control(name, method) for name in names]
    values = [_values(control) for control in known]
    rows = [
        [_filled(frame, mask, {control.name: value}, seed, method) for value in its]
        for control, its in zip(known, values, strict=True)
    ]
    labels = [_label(control) for control in known]
    return sheet(rows, labels, [[_signed(value) for value in its] for its in values])


def grid_sheet(
    frame: Image.Image, mask: np.ndarray, names: Sequence[str], seed: int = 0, method: str = "csi"
) -> Image.Image:
    """The hole with the first of two controls' values from row to row and the second's from column to column.

    Raises as `traversal_sheet`.
    """
    first, second = (_control(name, method) for name in names)
    if first == second:
        raise ControlError(f"{first.name} twice: a grid needs two controls")
    rows = [
        [_filled(frame, mask, {first.name: high, second.name: wide}, seed, method) for wide in _values(second)]
        for high in _values(first)
    ]
    labels = [f"{first.label}\n{_signed(value)}" for value in _values(first)]
    captions = [[_signed(value) for value in _values(second)]] * len(rows)
    return sheet(rows, labels, captions, f"across: {second.label}")


def _control(name: str, method: str) -> Control:
    known = {control.name: control for control in list_controls(method)}
    if name not in known:
        raise ControlError(f"unknown control of {method}: {name!r}; it has: {', '.join(known)}")
    return known[name]


def _values(control: Control) -> list[float]:
    low, high = (-EXTREME, EXTREME) if control.kind == "latent" else (control.minimum, control.maximum)
    return [round(float(value), 2) for value in np.linspace(low, high, COLUMNS)]


def _signed(value: float) -> str:
    return f"{value:+g}" if value else "0"


def _label(control: Control) -> str:
    """The label in lines that are not too long."""
    return control.label.replace(" + ", " +\n").replace(" (", "\n(")


def _filled(frame: Image.Image, mask: np.ndarray, controls: Mapping[str, float], seed: int, method: str) -> Image.Image:
    calm = {option.name: CALM[option.name] for option in load_method(method).options if option.name in CALM}
    *_, last = complete_frame(frame, mask, method, (seed,), controls, calm)
    return last.pictures[0]

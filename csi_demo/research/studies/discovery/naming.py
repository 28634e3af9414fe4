"""Names for what a control was measured to do. A name is the strongest effect, the evidence the figures behind it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import numpy as np

from ....methods.csi.controls import pack_map
from .latents import ACTIVE, EVERYWHERE, Effects
from .measures import COLOURS, TURN, WORDS, Measures

SURE = 3.0  # standard errors that an effect must be away from nothing
NOTICEABLE = 0.3  # standard deviations over faces that an effect must reach to name a control
NEAR = 0.8  # of the strongest effect, that a less usual one must reach to come first
ALSO = 0.6  # of the strongest effect, that another one must reach to be named beside it
APART = 0.5  # of the strongest effect, that must be left of another after what goes along with the strongest in faces
UNUSED = "unused"


@dataclass(frozen=True)
class Found:
    """What a control does in words: its name, and the indexes of the measures that it is named after."""

    name: str
    measures: tuple[int, ...]


def name_effect(
    names: Sequence[str],
    change: np.ndarray,
    error: np.ndarray,
    spread: np.ndarray,
    correlation: np.ndarray,
    strength: float,
    region: str,
    usual: np.ndarray,
) -> Found:
    """Names one control after at most two of the M measures called `names`.

    change, error: (M,), mean change from low to high and its standard error; spread: (M,), each measure's standard
    deviation over faces, in which changes are compared; correlation: (M, M), of the measures over faces; usual: (M,),
    how far controls move each measure as a rule, see `usual_change`. Of the effects that come near the strongest, the
    one that stands out most from what is usual comes first. A second measure is named only for what remains of it after
    its regression on the first: of two that always go together, such as a smile and high cheekbones, one is the name.
    strength and region: as in `Effects` and of `main_region`.
    """
    if strength <= ACTIVE:
        return Found(UNUSED, ())
    sizes = change / spread
    known = np.array([name in WORDS for name in names])
    sure = known & (np.abs(change) > SURE * error) & (np.abs(sizes) >= NOTICEABLE)
    if not sure.any():
        return Found("detail" if region == EVERYWHERE else f"{region} detail", ())
    top = np.abs(sizes[sure]).max()
    apart = np.abs(sizes) / usual
    first = int(np.argmax(np.where(sure & (np.abs(sizes) >= NEAR * top), apart, -1.0)))
    left = np.abs(sizes - correlation[:, first] * sizes[first])
    beside = sure & (np.abs(sizes) >= ALSO * top) & (left >= APART * top)
    beside[first] = False
    chosen = [first]
    if beside.any():
        chosen.append(int(np.argmax(np.where(beside, apart, -1.0))))
    return Found(" + ".join(WORDS[names[one]][int(change[one] < 0)] for one in chosen), tuple(chosen))


def usual_change(change: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """Root mean square over controls (C, M) of what they change, in standard deviations over faces: (M,)."""
    return np.sqrt(np.square(change / spread).mean(0)).clip(1e-6)


def unique(names: Sequence[str]) -> list[str]:
    """Names in order, a repeated one with a number."""
    result: list[str] = []
    for name in names:
        tries = chain((name,), (f"{name} {number}" for number in count(2)))
        result.append(next(one for one in tries if one not in result))
    return result


def quoted(name: str, change: float, error: float) -> str:
    """An effect in figures, with its unit, as in "smile: +3.1 ± 0.2 logits"."""
    title = WORDS[name][0] if name in WORDS else name
    if name == TURN:
        return f"{title}: {change:+.2f} ± {error:.2f} standard deviations over faces"
    if name in COLOURS:
        return f"{name}: {change:+.3f} ± {error:.3f} of 2"
    return f"{title}: {change:+.1f} ± {error:.1f} logits"


def evidence(
    names: Sequence[str], found: Found, change: np.ndarray, error: np.ndarray, how: str, strength: float
) -> str:
    """What a name stands on. change, error: (M,), of the measures called `names`; how: the values compared, and what
    else is to be said between the figures and the strength."""
    figures = "; ".join(quoted(names[one], float(change[one]), float(error[one])) for one in found.measures)
    return f"{figures or 'no measure stands out'} {how}; moves a pixel by {strength:.2f} of 2."


def machine_name(label: str) -> str:
    """A label as a control's name: lower case, words joined with underscores."""
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def describe(
    measures: Measures, found: Found, measured: Effects, index: int, ends: tuple[float, float], where: str
) -> str:
    """The evidence for what a control was found to be, moved between two ends; where: what else is to be said."""
    change, error = measured.change[index], measured.error[index]
    how = f"from {ends[0]:g} to {ends[1]:g}; {where}"
    return evidence(measures.names, found, change, error, how, measured.strength[index])


def figures(measured: Effects, index: int, cells: np.ndarray) -> dict[str, Any]:
    """A control's figures and its map (GRID, GRID), in a form for JSON."""
    return {
        "strength": round(float(measured.strength[index]), 4),
        "change": [round(float(value), 4) for value in measured.change[index]],
        "error": [round(float(value), 4) for value in measured.error[index]],
    } | pack_map(cells)

"""What callers say in numbers, checked where it enters: what can mean one thing is converted, the rest refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

from ..errors import UsageError

LARGEST_SEED = 2**63 - 1


def number(value: Any, what: str, *, finite: bool = True) -> float:
    """A number of any kind as a float: an int, a float, one of NumPy's, an array or tensor of a single one.

    Raises UsageError, which calls it `what`.
    """
    single = value.item() if getattr(value, "ndim", None) == 0 else value
    wrong = UsageError(f"{what} {value!r:.40} is not a number")
    if not isinstance(single, Real) or _is_switch(single):
        raise wrong
    try:
        found = float(single)
    except OverflowError:
        found = math.inf
    if finite and not math.isfinite(found):
        raise wrong
    return found


def whole(value: Any, what: str, least: int, most: int) -> int:
    """A whole number from least to most. Raises UsageError, which calls it `what`."""
    single: Any = value.item() if getattr(value, "ndim", None) == 0 else value
    a_number = isinstance(single, Real) and not _is_switch(single)
    if not a_number or not least <= single <= most or single % 1:
        raise UsageError(f"{what} {value!r:.40}: need a whole number from {least} to {most}")
    return int(single)


def switch(value: Any, what: str) -> bool:
    """True or False. Raises UsageError, which calls it `what`."""
    single = value.item() if getattr(value, "ndim", None) == 0 else value
    if _is_switch(single) or (isinstance(single, int) and single in (0, 1)):
        return bool(single)
    raise UsageError(f"{what} {value!r:.40}: need True or False")


def seeds(value: Any) -> tuple[int, ...]:
    """One seed or several as a tuple, at least one. Raises UsageError."""
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes) and getattr(value, "ndim", 1) != 0
    found = tuple(whole(seed, "the seed", 0, LARGEST_SEED) for seed in (value if several else (value,)))
    if not found:
        raise UsageError("no seeds: give one for every sample")
    return found


def _is_switch(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")

"""Ways of filling a hole, by name. A new one is a file here, a line in `registry` and a folder in weights/."""

from __future__ import annotations

from functools import cache

from ..device import chosen_device
from ..errors import CompletionError, ControlError, UnknownMethodError
from ..registry import REGISTRY, find
from .base import Control, Method, Step


def available_methods() -> tuple[str, ...]:
    """Names that `load_method` takes."""
    return tuple(name for name, entry in REGISTRY.items() if entry.method)


def method_labels() -> dict[str, str]:
    """Name -> label of every method, without importing any."""
    return {name: REGISTRY[name].label for name in available_methods()}


@cache
def load_method(name: str) -> Method:
    """The method of this name with its weights, on the device of CSI_DEVICE, loaded once and kept.

    Raises UnknownMethodError, DeviceError or WeightsError.
    """
    if name not in available_methods():
        raise UnknownMethodError(f"unknown method {name!r}: use one of {', '.join(available_methods())}")
    device = chosen_device()
    method = find("methods", REGISTRY[name].method)()
    method.place(device)
    return method


def list_controls(name: str) -> tuple[Control, ...]:
    """The controls of a method, strongest first. Raises as `load_method`."""
    return load_method(name).controls


__all__ = [
    "CompletionError",
    "Control",
    "ControlError",
    "Method",
    "Step",
    "UnknownMethodError",
    "available_methods",
    "list_controls",
    "load_method",
    "method_labels",
]

"""Ways of filling a hole, by name. A new one is one file here, one line in `REGISTRY` and one folder in weights/."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from ..device import chosen_device
from ..errors import CompletionError, ControlError, UnknownMethodError
from .base import Control, Method, Step

# name -> (module:class, the class's label), so that listing the methods imports none of them.
REGISTRY = {
    "csi": ("csi:CSIMethod", "CSI"),
    "dcgan": ("dcgan:DCGANMethod", "DCGAN"),
    "vae": ("vae:VAEMethod", "VAE"),
    "vae-oneshot": ("vae:OneShotMethod", "VAE one-shot"),
    "vae-attributes": ("attribute_vae:AttributeVAEMethod", "Attribute VAE"),
    "pixelcnn": ("gated_pixelcnn:GatedPixelCNNMethod", "Gated PixelCNN"),
}


def available_methods() -> tuple[str, ...]:
    """Names that `load_method` takes."""
    return tuple(REGISTRY)


def method_labels() -> dict[str, str]:
    """Name -> label of every method, without importing any."""
    return {name: label for name, (_, label) in REGISTRY.items()}


@cache
def load_method(name: str) -> Method:
    """The method of this name with its weights, on the device of CSI_DEVICE, loaded once and kept.

    Raises UnknownMethodError, DeviceError or WeightsError.
    """
    if name not in REGISTRY:
        raise UnknownMethodError(f"unknown method {name!r}: use one of {', '.join(REGISTRY)}")
    module, _, attribute = REGISTRY[name][0].partition(":")
    device = chosen_device()
    method = getattr(import_module(f".{module}", __name__), attribute)()
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

"""Where the networks run that profit from an accelerator: the one setting, CSI_DEVICE."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .errors import DeviceError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def check_device(name: str, setting: str) -> None:
    """Raises DeviceError unless the device can be had. setting: where the name is from. Only "cuda" loads PyTorch."""
    if name not in DEVICES:
        raise DeviceError(f"{setting} {name:.40}: use one of {', '.join(DEVICES)}")
    if name == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise DeviceError(f"{setting} cuda: torch finds no CUDA device here; use cpu or auto")


def check_setting() -> str:
    """The value of CSI_DEVICE. Raises DeviceError."""
    name = os.environ.get("CSI_DEVICE") or "auto"
    check_device(name, "CSI_DEVICE")
    return name


def chosen_device() -> torch.device:
    """The device that CSI_DEVICE chooses; by default a GPU only where torch finds one. Raises DeviceError."""
    import torch

    name = check_setting()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        torch.backends.cudnn.allow_tf32 = False  # a seed's picture is the CPU's, but for rounding
    return torch.device(name)

"""Where the networks run: the one setting, CSI_DEVICE, and processes that were forked from one that has filled.

Of the threads of a process a fork keeps the one that forks. In the child, OpenMP's, on which PyTorch computes, would be
waited for for ever, and so would OpenCV's, even to be told to end. There everything runs on one thread, and comes to
the same. `multiprocessing` or a web server may fork so.
"""

from __future__ import annotations

import os
import sys
from functools import cache
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


_threads: list[int] = []  # of OpenCV, while a fork is under way


@cache
def make_forks_safe() -> None:
    """To be called by what loads PyTorch, any number of times. Does nothing where there is no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _before() -> None:
    if (cv2 := sys.modules.get("cv2")) is not None:
        _threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)


def _in_parent() -> None:
    if _threads:
        sys.modules["cv2"].setNumThreads(_threads.pop())


def _in_child() -> None:
    _threads.clear()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    for name in ("machine_code", "compiled"):
        if (module := sys.modules.get(f"{__package__}.sampling.{name}")) is not None:
            module.after_fork()

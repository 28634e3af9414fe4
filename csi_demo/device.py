"""Where the networks run: the setting CSI_DEVICE, the caller's modes of PyTorch, and processes that were forked.

Of the threads of a process a fork keeps the one that forks. In the child, OpenMP's, on which PyTorch computes, would be
waited for for ever, and so would OpenCV's, even to be told to end. There everything runs on one thread, and comes to
the same. `multiprocessing` or a web server may fork so.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import TYPE_CHECKING, TypeVar

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


_inside, _outer = 0, None  # how often `plain_torch` is entered, and what the default dtype was before
_counting = threading.Lock()
StepT = TypeVar("StepT")
ClassT = TypeVar("ClassT", bound=type)


@contextmanager
def plain_torch() -> Iterator[None]:
    """Within, PyTorch computes as it does by itself, whatever modes and default dtype the caller has set. With
    gradients, in float32 and on the CPU; the caller's modes hold again afterwards, and so does its number of threads.
    Also a decorator."""
    import torch

    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        _count(1)
        modes.callback(_count, -1)
        threads = torch.get_num_threads()
        try:
            yield
        finally:
            if torch.get_num_threads() != threads:  # see `share_threads`
                torch.set_num_threads(threads)


def _count(more: int) -> None:
    """The default dtype is all threads': the first sets it, the last sets it back."""
    global _inside, _outer
    import torch

    with _counting:
        if not _inside:
            _outer = torch.get_default_dtype()
        _inside += more
        wanted = torch.float32 if _inside else _outer
        if torch.get_default_dtype() != wanted:
            torch.set_default_dtype(wanted)  # type: ignore[arg-type]


def in_plain_torch(kind: ClassT) -> ClassT:
    """The same class, whose public methods and properties run in `plain_torch`."""
    for name, value in list(vars(kind).items()):
        if isinstance(value, property):
            value = property(plain_torch()(value.fget) if value.fget else None, value.fset, doc=value.__doc__)
            setattr(kind, name, value.setter(plain_torch()(value.fset)) if value.fset else value)
        elif callable(value) and (name == "__init__" or not name.startswith("_")):
            setattr(kind, name, plain_torch()(value))
    return kind


def plain_steps(steps: Iterator[StepT]) -> Generator[StepT]:
    """The same steps, each made in `plain_torch`; between them the caller's modes hold."""
    try:
        while True:
            with plain_torch():
                step = next(steps, None)
            if step is None:
                return
            yield step
    finally:
        if close := getattr(steps, "close", None):
            with plain_torch():
                close()


_most: int | None = None  # threads that PyTorch had before any were shared
_running_before = sys.maxsize


def share_threads() -> None:
    """Leaves PyTorch, in this thread, as many threads as cores are free now; to be called before what takes long.

    Where something else runs on one of two cores, a second thread waits for its turn there, some milliseconds, and the
    first one for it at the end of every layer: two are slower than one by two to seven. A count that is there but once
    is passed over.
    """
    global _most, _running_before
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if _most is None:
        _most = torch.get_num_threads()
    if _most == 1:
        return
    running = _running()
    others, _running_before = min(running, _running_before) - 1, running
    wanted = max(1, min(_most, (os.cpu_count() or 1) - others))
    if wanted != torch.get_num_threads():
        torch.set_num_threads(wanted)


def _running() -> int:
    """How many threads of all processes run now, or would if there were a core for them; 1 where nothing says so."""
    try:
        with open("/proc/loadavg") as file:
            return int(file.read().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return 1


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
    global _most
    _most = 1
    _threads.clear()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    for name in ("machine_code", "compiled"):
        if (module := sys.modules.get(f"{__package__}.sampling.{name}")) is not None:
            module.after_fork()

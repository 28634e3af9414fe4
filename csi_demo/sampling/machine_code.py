"""Machine code of the compiled kernels: where numba keeps it, who may write it, and whether it is there yet."""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import logging
import math
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from ..surroundings import own_folder, user

VARIABLE = "NUMBA_CACHE_DIR"
LANES = 16  # channels are padded to a multiple of this
PATIENCE = 2.0  # seconds that the first fill waits for machine code to be read from the disk
COMPILING = "once: half a minute, several on a busy machine (`csi-demo warm` does it beforehand)"
EXIT_PATIENCE = 10.0  # seconds that a process which ends waits for it, before it stops the compiler
SOURCES = ("arithmetic.py", "kernel.py", "gated_kernel.py")

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_log = logging.getLogger(__name__)


def up(channels: int) -> int:
    """The next multiple of `LANES`."""
    return math.ceil(channels / LANES) * LANES


def to_numpy(tensor: Tensor, dtype: torch.dtype) -> np.ndarray:
    """As a kernel takes it: contiguous, in this dtype."""
    return tensor.detach().to(dtype).contiguous().numpy()


def blank(build: Callable[[], ModuleT]) -> ModuleT:
    """A module with zeros for weights. No random number is drawn, as building it would: a kernel is made ready beside
    others' work, who may have seeded the generator that all share."""
    with torch.device("meta"):
        module = build().float()  # whatever the caller's default dtype is
    module.to_empty(device="cpu").requires_grad_(False)
    for tensor in (*module.parameters(), *module.buffers()):
        tensor.zero_()
    return module


@cache
def find_place() -> Path:
    """To be called before a kernel is imported: the folder in which numba keeps machine code from then on.

    It is named after what the sources say, for numba asks only whether the file that a function stands in is newer, not
    those of what it calls. It lies where the environment says, else beside the code, in the home, or, where neither can
    be written to, as in a container, among the temporary files of this user; what was compiled beside the code before
    is then copied there.
    """
    import numba

    beside, home = Path(__file__).parent / "__pycache__", Path(os.environ.get("HOME") or "/nonexistent")
    if given := os.environ.get(VARIABLE):
        place = Path(given)
    elif os.access(beside if beside.is_dir() else beside.parent, os.W_OK):
        place = beside
    elif os.access(home, os.W_OK):
        place = home / ".cache" / "csi-demo"
    else:
        place = own_folder(Path(tempfile.gettempdir()) / f"csi-demo-numba-{user()}")
    said = b"".join((Path(__file__).parent / name).read_bytes() for name in SOURCES)
    name = f"kernels-{hashlib.sha256(said).hexdigest()[:12]}"
    place, made = place / name, beside / name
    if made.is_dir() and not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        copied = Path(shutil.copytree(made, tempfile.mkdtemp(dir=place.parent), dirs_exist_ok=True))
        with suppress(OSError):  # another process was quicker
            copied.rename(place)
        shutil.rmtree(copied, ignore_errors=True)
    place.mkdir(parents=True, exist_ok=True)
    numba.config.CACHE_DIR = str(place)  # type: ignore[attr-defined]
    return place


def alone() -> FileLock:
    """A lock, beside the machine code on the disk, held while it is compiled or read. Where several processes write
    numba's cache at once, it may later give one function another's code, and fills are silently wrong."""
    return FileLock(find_place() / "kernels.lock")


class MachineCode:
    """The machine code of one kernel. run: uses all of the kernel once, in a dtype, which compiles it or reads it from
    the disk."""

    def __init__(self, name: str, source: str, run: Callable[[torch.dtype], None]):
        """source: the module, among `SOURCES`, of the functions that are compiled."""
        self.name, self.source, self._run = name, source, run
        self._ready, self._lock = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._waited = self._ending = False
        self.compiling = False  # from nothing, which takes long
        _every.append(self)

    def make(self, dtype: torch.dtype = torch.float32) -> bool:
        """Reads it from the disk, or compiles it, which takes long; says whether that worked. dtype: of what will be
        run; what is not compiled here must not be run by several processes at once."""
        try:
            with alone():
                self.compiling = not any(find_place().rglob(f"{self.source}.*.nbc"))
                if self.compiling:
                    print(f"csi_demo: {self.name} is compiled for this processor, {COMPILING}", file=sys.stderr)
                self._run(dtype)
        except ImportError:
            _log.info("numba is not installed: pixels are drawn with torch, more slowly")
            return False
        except Exception:  # a compiler has many ways to fail, and torch does without it
            if not self._ending:
                _log.warning(
                    "%s cannot be compiled: pixels are drawn with torch, more slowly", self.name, exc_info=True
                )
            return False
        finally:
            self.compiling = False
        self._ready.set()
        return True

    def prepare(self) -> threading.Thread:
        """Makes it ready in the background, once."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self.make, name=self.name, daemon=True)
                self._thread.start()
            return self._thread

    def ready(self) -> bool:
        """Whether the kernel can be called now; the first call waits a moment for it."""
        if not self._ready.is_set() and not self._waited:
            self.prepare().join(PATIENCE)
            self._waited = True
        return self._ready.is_set()

    def finish(self) -> None:
        """Waits until nothing is being made, or after a while, or Ctrl-C, ends that between two steps of the compiler:
        an interpreter that goes while a thread is within LLVM ends by SIGSEGV."""
        if self._thread is None:
            return
        with suppress(KeyboardInterrupt):
            self._thread.join(EXIT_PATIENCE)
        self._ending = True
        while self._thread.is_alive():
            sys.unraisablehook = lambda _: None  # where it meets a callback that lets nothing through, again
            with suppress(KeyboardInterrupt):
                number, ends = ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(SystemExit)
                ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ends)
                self._thread.join(1.0)

    def after_fork(self) -> None:
        """In the child: no kernel where it was still being compiled, since nobody goes on."""
        self._lock = threading.Lock()
        self._waited = self._thread is not None


_every: list[MachineCode] = []


def is_compiling() -> bool:
    """Whether a kernel is being compiled that is not on the disk yet."""
    return any(code.compiling for code in _every)


def wait_until_made() -> None:
    """Waits for what is being made ready, so that processes begun after it find it on the disk."""
    for code in _every:
        if code._thread is not None:
            code._thread.join()


def after_fork() -> None:
    """In the child of a fork."""
    for code in _every:
        code.after_fork()


@atexit.register
def finish() -> None:
    """Before the process ends."""
    for code in _every:
        code.finish()

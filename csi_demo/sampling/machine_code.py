"""Where numba keeps the kernel's machine code, and who may write it."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from filelock import FileLock

from ..surroundings import own_folder, user

VARIABLE = "NUMBA_CACHE_DIR"


@cache
def find_place() -> None:
    """To be called before the kernel is imported: names a folder of this user's among the temporary files where neither
    the code's own folder nor a home can be written to, as in a container; numba refuses to work without any."""
    import numba

    beside = Path(__file__).parent
    beside = beside / "__pycache__" if (beside / "__pycache__").is_dir() else beside
    home = Path(os.environ.get("HOME") or "/nonexistent")
    if os.environ.get(VARIABLE) or os.access(beside, os.W_OK) or os.access(home, os.W_OK):
        return
    numba.config.CACHE_DIR = str(own_folder(Path(tempfile.gettempdir()) / f"csi-demo-numba-{user()}"))  # type: ignore[attr-defined]


def alone() -> FileLock:
    """A lock, beside the machine code on the disk, held while it is compiled or read: where several processes write
    numba's cache at once, it may later give one function another's code, and fills are silently wrong."""
    from . import kernel

    folder = Path(str(kernel.fill_row.stats.cache_path))
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "kernel.lock")

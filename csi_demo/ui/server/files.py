"""The folder of uploads and downloads: the page's own, and emptied of whatever has lain there too long.

Gradio deletes what it handed over whole. It does not know of an upload that broke off, of a file sent under another
name than `files`, or of the folders around them; hence a sweep of everything. Nothing outside the folder that
`use_own_folder` made is ever deleted.
"""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from ...errors import UsageError
from ...surroundings import own_folder, user

SECONDS_KEPT = 600
VARIABLE = "GRADIO_TEMP_DIR"

_own: Path | None = None  # what was made, or taken over from a server of the same user and port that is gone
_held: list[int] = []  # open while the folder is this process' own


def use_own_folder(port: int) -> None:
    """Lets Gradio use a folder that no other server uses, in GRADIO_TEMP_DIR or where temporary files go.

    Raises UsageError where there can be none, or where another process has it.
    """
    global _own
    outer = Path(os.environ.get(VARIABLE) or tempfile.gettempdir()).absolute()
    folder = outer / f"csi-demo-{user()}-{port}"
    try:
        _hold(own_folder(folder))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UsageError(f"{VARIABLE}: files cannot be kept in {folder}: {error.strerror}") from None
    os.environ[VARIABLE], _own = str(folder), folder


def _hold(folder: Path) -> None:
    """Makes it this process' until that ends. Raises UsageError where it is another's."""
    try:
        import fcntl
    except ImportError:  # elsewhere than on Unix the port alone tells servers apart
        return
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        raise UsageError(f"another server keeps its files in {folder}: choose another port or {VARIABLE}") from None
    _held.append(held)


def sweep(seconds: float = SECONDS_KEPT, own: Path | None = None) -> None:
    """Deletes files and empty folders, in the folder of `use_own_folder`, that nothing was written to for so many
    seconds. Without such a folder it deletes nothing."""
    own = own or _own
    if own is None:
        return
    latest = time.time() - seconds
    for folder, folders, names in os.walk(own, topdown=False):
        for name in names:
            with suppress(OSError):  # gone by itself
                file = Path(folder, name)
                if file.lstat().st_ctime <= latest:
                    file.unlink()
        for name in folders:
            with suppress(OSError):  # gone, or not empty
                inner = Path(folder, name)
                if inner.stat().st_ctime <= latest or seconds == 0:
                    inner.rmdir()


def leave() -> None:
    """Empties the folder and deletes it: the process ends."""
    sweep(0)
    if _own is not None:
        with suppress(OSError):
            _own.rmdir()

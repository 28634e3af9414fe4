"""The folder of uploads and downloads: the page's own, and emptied of whatever has lain there too long.

Gradio deletes what it handed over whole. It does not know of an upload that broke off, of a file sent under another
name than `files`, or of the folders around them; hence a sweep of everything.
"""

from __future__ import annotations

import getpass
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from gradio.utils import get_upload_folder

SECONDS_KEPT = 600


def use_own_folder(port: int) -> None:
    """Lets Gradio use a folder that no other server uses, unless GRADIO_TEMP_DIR names one."""
    if not os.environ.get("GRADIO_TEMP_DIR"):
        folder = Path(tempfile.gettempdir()) / f"csi-demo-{getpass.getuser()}-{port}"
        folder.mkdir(mode=0o700, exist_ok=True)
        os.environ["GRADIO_TEMP_DIR"] = str(folder)


def sweep(seconds: float = SECONDS_KEPT) -> None:
    """Deletes every file that nothing was written to for so many seconds, and empty folders of that age."""
    latest = time.time() - seconds
    for folder, folders, names in os.walk(get_upload_folder(), topdown=False):
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

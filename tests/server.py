"""The real server, ``python app.py``, in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from csi_demo.ops.replicas import PATIENCE, free_port

ROOT = Path(__file__).parents[1]
GUARD = str(Path(__file__).parent / "outbound")  # see there
__all__ = ["PATIENCE", "ROOT", "Server", "copy_folder", "free_port", "serving"]


def copy_folder(source: Path, target: Path) -> None:
    """A copy that can be written to, of code that perhaps cannot."""
    for file in source.rglob("*"):
        if file.is_file():
            (target / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target / file.relative_to(source))


class Server:
    """``python app.py`` with a folder of its own, which can reach no other machine."""

    def __init__(self, folder: Path, words: tuple[str, ...] = ("app.py",)):
        self.words = words
        self.files, self.log, self._tried = folder / "cache", folder / "log", folder / "tried"
        self.files.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self) -> None:
        """Starts it, once more where it has ended."""
        environment = {**os.environ, "PORT": str(self.port), "GRADIO_TEMP_DIR": str(self.files)}
        environment.pop("GRADIO_SERVER_NAME", None)
        environment |= {"CSI_TEST_CONNECTIONS": str(self._tried), "PYTHONPATH": GUARD}
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.words], cwd=ROOT, env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with suppress(httpx.HTTPError):
                httpx.get(self.url)
                return
            time.sleep(0.2)
        self.process.kill()
        raise AssertionError("the page does not answer")

    def tried(self) -> list[str]:
        """Which other machines it tried to reach."""
        return self._tried.read_text().splitlines() if self._tried.exists() else []

    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving(folder: Path, *words: str) -> Iterator[Server]:
    """A server that has been stopped, politely, at the end. words: what Python runs in the place of ``app.py``."""
    running = Server(folder, words or ("app.py",))
    try:
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)
    assert running.tried() == []

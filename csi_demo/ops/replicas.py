"""Replicas of the page behind nginx, all on this machine and heard by nobody else, as deploy/ describes them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

from ..errors import SoakError
from ..surroundings import user

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "deploy" / "nginx.conf"
PATIENCE = 240.0  # seconds for a start, on a machine however busy
REPLICA = "X-Replica"  # the header that says who answered, where it is wanted


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def nginx_program() -> str:
    """Where nginx is. Raises SoakError."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise SoakError("this needs nginx: apt-get install nginx, or your system's own")
    return found


class Replica:
    """`python app.py` at a port of its own; files: the folder that its uploads' folder lies in, log: what it says."""

    def __init__(self, files: Path, log: Path):
        self.files, self.log, self.port = files, log, free_port()
        self.address, self.process = f"127.0.0.1:{self.port}", self._begin()

    @property
    def own(self) -> Path:
        """The folder that it makes for its uploads, and deletes at its end."""
        return self.files / f"csi-demo-{user()}-{self.port}"

    def _begin(self) -> subprocess.Popen[bytes]:
        environment = {"OMP_NUM_THREADS": "1", **os.environ}
        environment |= {"PORT": str(self.port), "GRADIO_TEMP_DIR": str(self.files), "GRADIO_SERVER_NAME": "127.0.0.1"}
        for name in ("GRADIO_ROOT_PATH", "CSI_METRICS_PORT"):
            environment.pop(name, None)
        with self.log.open("a") as log:
            return subprocess.Popen([sys.executable, "app.py"], cwd=ROOT, env=environment, stdout=log, stderr=log)

    def check(self) -> None:
        """Raises SoakError where it has ended."""
        if self.process.poll() is not None:
            said = self.log.read_text(errors="replace").strip().splitlines() or ["nothing"]
            raise SoakError(f"a replica ended with status {self.process.returncode} and said: {said[-1]}")

    def healthy(self) -> bool:
        """Whether it can fill holes. Raises SoakError where it has ended."""
        self.check()
        with suppress(httpx.HTTPError):
            return httpx.get(f"http://{self.address}/healthz").status_code == 200
        return False

    def wait(self) -> None:
        """Until it is healthy. Raises SoakError."""
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            if time.monotonic() > deadline:
                raise SoakError(f"a replica did not start within {PATIENCE:.0f} s")
            time.sleep(0.2)

    def stop(self) -> tuple[int, float]:
        """Asks it to end: SIGTERM; returns its exit status, and the seconds that it took. Killed after 30: -9."""
        began = time.monotonic()
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, round(time.monotonic() - began, 2)

    def restart(self) -> None:
        """Starts it anew, at the same port; `wait` tells when it is there."""
        self.process = self._begin()

    def tracebacks(self) -> int:
        """How many errors it has written down that nobody had thought of."""
        return self.log.read_text(errors="replace").count("Traceback")


class Nginx:
    """nginx, run by the recipe in `deploy/` before two replicas. Raises SoakError.

    folder: an empty one, for its files; told: whether each answer says in REPLICA which replicas it came from.
    """

    def __init__(self, folder: Path, ports: Sequence[int], told: bool = False):
        program, self.port, self.folder = nginx_program(), free_port(), folder
        try:
            config = RECIPE.read_text()
        except OSError as error:
            raise SoakError(f"{RECIPE.name} of deploy/ cannot be read: {error.strerror}") from None
        for old, new in zip((8080, 7861, 7862), (self.port, *ports), strict=True):
            config, found = re.subn(rf"127\.0\.0\.1:{old}\b", f"127.0.0.1:{new}", config)
            if found != 1:
                raise SoakError(f"{RECIPE.name} of deploy/ names 127.0.0.1:{old} {found} times: once is right")
        if told:
            config = config.replace("proxy_pass ", f"add_header {REPLICA} $upstream_addr always;\n      proxy_pass ")
        (folder / "nginx.conf").write_text(f"daemon off;\n{config}")
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process = subprocess.Popen([program, "-p", folder, "-c", "nginx.conf", "-e", "error.log"])
        while not (folder / "nginx.pid").is_file():
            if self.process.poll() is not None:
                said = (folder / "error.log").read_text().strip().splitlines() or ["nothing"]
                raise SoakError(f"nginx ended and said: {said[-1]}")
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

"""The container's recipe, step by step without a container: a user without a name or a home, code that is read-only."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import torch

from csi_demo.commands.licences import REQUIREMENTS, forbids, licence_of, needed

from .server import PATIENCE, ROOT, free_port

UNSHARE = shutil.which("unshare")
RECIPE = (ROOT / "deploy" / "Containerfile").read_text().replace("\\\n", " ")
STEPS = [tuple(line.split(maxsplit=1)) for line in RECIPE.splitlines() if line and not line.startswith("#")]


def steps(kind: str) -> list[str]:
    return [content for name, content in STEPS if name == kind]


class Container:
    """The recipe's files in a folder that is read-only to what runs there, as the recipe's user."""

    def __init__(self, folder: Path):
        self.code, self.temporary = folder / "app", folder / "tmp"
        self.code.mkdir()
        self.temporary.mkdir(mode=0o777)
        for copy in steps("COPY"):
            *sources, target = copy.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignored = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / source, self.code / target, ignore=ignored)
                else:
                    shutil.copy(ROOT / source, self.code / target)
        self.environment = dict(word.split("=", 1) for line in steps("ENV") for word in shlex.split(line))
        self.environment |= {"PATH": os.environ["PATH"], "TMPDIR": str(self.temporary), "OMP_NUM_THREADS": "1"}
        self.environment |= {"GRADIO_SERVER_NAME": "127.0.0.1"}
        (user,) = steps("USER")
        self.user, self.group = user.split(":")

    def start(self, *command: str, **environment: str) -> subprocess.Popen[str]:
        told = [f"{name}={value}" for name, value in (self.environment | environment).items()]
        inside = [
            "unshare",
            "--user",
            f"--map-user={self.user}",
            f"--map-group={self.group}",
            "env",
            "-i",
            *told,
            *command,
        ]
        code = shlex.quote(str(self.code))
        outside = (
            f"mount --bind {code} {code} && mount -o remount,bind,ro {code} && cd {code} && exec {shlex.join(inside)}"
        )
        return subprocess.Popen(
            [str(UNSHARE), "--mount", "sh", "-c", outside], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def run(self, *command: str) -> tuple[int | None, str, str]:
        with self.start(*command) as process:
            out, said = process.communicate(timeout=300)
        return process.returncode, out, said


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Container:
    if UNSHARE is None:
        pytest.skip("needs util-linux' unshare")
    made = Container(tmp_path_factory.mktemp("container"))
    status, _, said = made.run("true")
    if status:
        pytest.skip(f"needs the rights to mount: {said.strip()}")
    return made


@pytest.mark.slow
def test_the_surroundings_are_what_they_are_meant_to_be(container: Container) -> None:
    code = "import os; print(os.getuid(), os.environ.get('HOME'), os.access('csi_demo', os.W_OK))"
    assert container.run(sys.executable, "-c", code) == (0, "54321 None False\n", "")


@pytest.mark.slow
def test_it_fills_from_the_command_line(container: Container) -> None:
    out = container.temporary / "out"
    words = ("complete", "examples/astronaut.png", "--aligned", "--mask", "mouth", "--out", str(out))
    status, printed, said = container.run(sys.executable, "-m", "csi_demo", *words)
    assert (status, printed) == (0, "")
    assert said.startswith("csi_demo: the kernel is compiled for this processor")
    assert said.count("\n") == 1
    assert (out / "sample-0.png").is_file()


@pytest.mark.slow
def test_it_serves_is_healthy_and_stops_when_asked(container: Container) -> None:
    (command,) = steps("CMD")
    words = [re.sub("^python$", sys.executable, word) for word in re.findall(r'"([^"]*)"', command)]
    port = str(free_port())
    with container.start(*words, PORT=port) as page:
        health, deadline = None, time.monotonic() + PATIENCE
        while (health is None or health.status_code != 200) and time.monotonic() < deadline:
            assert page.poll() is None, page.stderr and page.stderr.read()
            time.sleep(0.3)
            with suppress(httpx.HTTPError):
                health = httpx.get(f"http://127.0.0.1:{port}/healthz")
        assert health is not None
        assert {"loaded": True, "running": 0, "waiting": 0}.items() <= health.json().items()
        page.send_signal(signal.SIGTERM)
        _, said = page.communicate(timeout=30)
    assert page.returncode == 0
    assert "Traceback" not in said
    assert not list(container.temporary.glob("csi-demo-54321-*"))


@pytest.mark.skipif(
    torch.version.cuda is not None,
    reason="the licences promised are those of PyTorch's CPU build; this one brings NVIDIA's libraries",
)
def test_no_licence_forbids_what_the_readme_promises() -> None:
    pytest.importorskip("packaging")
    packages = needed(REQUIREMENTS)
    assert {"torch", "gradio", "starlette", "pillow", "pi-heif"} <= set(packages)
    licences = {name: licence_of(name) for name in packages}
    assert all(licences.values()), licences
    assert [name for name, licence in licences.items() if forbids(licence)] == []


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("MIT", False),
        ("GNU Lesser General Public License v3 (LGPLv3)", False),
        ("LGPL-3.0-or-later", False),
        ("MPL-2.0 AND MIT", False),
        ("GPL-2.0-only OR MIT", False),
        ("GPL-3.0-or-later", True),
        ("GNU General Public License v2 (GPLv2)", True),
        ("AGPL-3.0", True),
        ("GNU Affero General Public License v3", True),
        ("CC-BY-NonCommercial-4.0", True),
    ],
)
def test_licences_are_told_apart(licence: str, forbidden: bool) -> None:
    assert forbids(licence) == forbidden

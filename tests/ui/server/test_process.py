"""How the page's process starts, is refused and ends, by itself: `python app.py` in surroundings of all kinds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from csi_demo.errors import UsageError
from csi_demo.ops.soaking import Visitor
from csi_demo.surroundings import spare_loopback, user
from csi_demo.ui.server import files, process

from ...server import ROOT, Server, free_port, serving
from ...visitor import noise

QUIETLY = {"capture_output": True, "text": True, "cwd": ROOT}


def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=os.environ | {"GRADIO_SERVER_NAME": ""} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(**environment: str) -> str:
    """What `app.py` says when it does not start: one line."""
    with start("app.py", **environment) as page:
        try:
            _, said = page.communicate(timeout=60)
        finally:
            page.kill()
    assert page.returncode == 2, said
    assert said.startswith("csi_demo: ")
    assert said.count("\n") == 1, said
    return said


# Starting


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PORT": "eighty"}, "PORT='eighty': need a port from 1 to 65535"),
        ({"PORT": "0"}, "PORT='0': need a port"),
        ({"PORT": "", "GRADIO_SERVER_PORT": "70000"}, "GRADIO_SERVER_PORT='70000': need a port"),
        ({"GRADIO_SERVER_NAME": "192.0.2.1"}, "cannot be served at 192.0.2.1:"),
        ({"GRADIO_TEMP_DIR": "/proc/nothing"}, "GRADIO_TEMP_DIR: files cannot be kept in /proc/nothing"),
        ({"GRADIO_TEMP_DIR": str(ROOT / "LICENSE")}, "GRADIO_TEMP_DIR: files cannot be kept in"),
        ({"http_proxy": "gopher://127.0.0.1:1"}, "a proxy that the environment names cannot be used"),
        ({"CSI_METRICS_PORT": "no"}, "CSI_METRICS_PORT='no': need a port"),
        ({"CSI_DEVICE": "abacus"}, "abacus"),
    ],
    ids=str,
)
def test_what_the_environment_says_wrong_is_one_line(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    assert said in refused(**({"PORT": str(free_port()), "GRADIO_TEMP_DIR": str(tmp_path)} | environment))
    assert not any(file.is_file() for file in tmp_path.rglob("*"))


def test_loopback_is_spared_by_proxies_and_what_was_spared_before_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("NO_PROXY", "intern.example, 127.0.0.1")
    spare_loopback()
    assert os.environ["no_proxy"] == os.environ["NO_PROXY"] == "intern.example,127.0.0.1,localhost,::1"
    monkeypatch.setenv("no_proxy", "*")
    spare_loopback()
    assert os.environ["no_proxy"] == "*"
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("all_proxy", "socks4://127.0.0.1:1")
    with pytest.raises(UsageError, match="a proxy that the environment names cannot be used"):
        spare_loopback()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs PyTorch's OpenMP to be GNU's, as on Linux")
@pytest.mark.parametrize(("said", "policy"), [(None, "PASSIVE"), ("active", "ACTIVE")])
def test_threads_sleep_while_they_wait(said: str | None, policy: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_DISPLAY_ENV": "true", "GRADIO_TEMP_DIR": str(tmp_path), "PORT": str(free_port())}
    environment.pop("OMP_WAIT_POLICY", None)
    environment |= {"OMP_WAIT_POLICY": said} if said else {}
    fill = ["-m", "csi_demo", "complete", "examples/astronaut.png", "--aligned", "--mask", "mouth", "--method", "vae"]
    for words in (["app.py"], [*fill, "--out", str(tmp_path)]):
        program = [sys.executable, *words]
        with subprocess.Popen(program, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as started:
            assert started.stderr
            told = next((line for line in started.stderr if "OMP_WAIT_POLICY" in line), "")
            started.kill()
        assert f"'{policy}'" in told


@pytest.mark.parametrize(
    ("said", "path"),
    [("", ""), ("/csi", "/csi"), ("/csi/", "/csi"), ("csi", "/csi"), ("https://a.b/c/", "https://a.b/c")],
)
def test_a_prefix_is_taken_as_it_is_meant(said: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_ROOT_PATH", said)
    assert process.root_path() == path


# Own files


def test_a_folder_that_is_somebody_elses_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    own = tmp_path / f"csi-demo-{user()}-1"
    own.symlink_to(tmp_path)  # as another user of the machine might lay it
    with pytest.raises(UsageError, match="is not a folder of this user alone"):
        files.use_own_folder(1)
    own.unlink()
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(UsageError, match="is not a folder of this user alone"):
        files.use_own_folder(1)


def test_without_an_own_folder_nothing_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "thesis.txt").write_text("mine")
    files.sweep(0)
    files.leave()
    assert (tmp_path / "thesis.txt").read_text() == "mine"


# A server behind a prefix and a proxy, in a folder with files that are not its own


@contextmanager
def behind_a_prefix(folder: Path) -> Iterator[Server]:
    with ExitStack() as stack:
        metrics_port = free_port()
        with pytest.MonkeyPatch.context() as patched:
            for name in ("http_proxy", "https_proxy", "HTTP_PROXY"):
                patched.setenv(name, "http://127.0.0.1:1")
            patched.setenv("no_proxy", "127.0.0.1")  # for the tests themselves
            patched.setenv("GRADIO_ROOT_PATH", "/csi2/")
            patched.setenv("CSI_METRICS_PORT", str(metrics_port))
            server = stack.enter_context(serving(folder))
        (server.files / "thesis.txt").write_text("mine")
        (server.files / "photos").mkdir()
        (server.files / "photos" / "a.png").write_text("mine, too")
        server.metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"  # type: ignore[attr-defined]
        yield server


@pytest.fixture(scope="module")
def prefixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with behind_a_prefix(tmp_path_factory.mktemp("prefixed")) as server:
        yield server


def test_closed_pages_are_closed_behind_a_prefix(prefixed: Server) -> None:
    """The case: /csi2/gradio_api/deep_link answered 200 where the one without the prefix was 404."""
    for before in ("", "csi2/", "csi2/csi2/"):
        for route in ("gradio_api/deep_link?session_hash=x", "monitoring", "gradio_api/vibe-code", "docs"):
            assert httpx.get(f"{prefixed.url}{before}{route}").status_code == 404, before + route
    for before in ("", "csi2/"):
        config = httpx.get(f"{prefixed.url}{before}config").raise_for_status().json()
        assert config["root"].endswith("/csi2")
        httpx.get(f"{prefixed.url}{before}gradio_api/info").raise_for_status()


def test_a_visitor_behind_a_prefix_fills(prefixed: Server) -> None:
    with Visitor(f"{prefixed.url}csi2/") as visitor:
        visitor.set("samples", 1)
        visitor.paint_on(noise(64, 64))
        visitor.fill()
        assert "Filled in" in visitor.shown("status")
    health = httpx.get(f"{prefixed.url}csi2/healthz")
    assert health.status_code == 200
    assert {"loaded": True, "running": 0, "waiting": 0}.items() <= health.json().items()
    said = httpx.get(prefixed.metrics_url).text  # type: ignore[attr-defined]
    assert 'csi_fills_total{ended="complete",method="csi"} 1.0' in said
    assert "csi_queue_length 0.0" in said
    assert httpx.get(f"{prefixed.url}metrics").status_code == 404


def test_a_second_start_on_its_port_is_one_line_and_touches_nothing(prefixed: Server) -> None:
    path = Visitor(prefixed.url).upload(b"x" * 1000, "kept.bin")
    environment = {"PORT": str(prefixed.port), "GRADIO_TEMP_DIR": str(prefixed.files), "CSI_METRICS_PORT": ""}
    assert f"cannot be served at 127.0.0.1:{prefixed.port}: Address already in use" in refused(**environment)
    assert "another server keeps its files in" in held(prefixed)
    assert Path(path).is_file()


def held(server: Server) -> str:
    """What another process is told that wants the folder of a server, though not its port."""
    code = f"from csi_demo.ui.server import files\nfiles.use_own_folder({server.port})"
    environment = os.environ | {"GRADIO_TEMP_DIR": str(server.files)}
    return subprocess.run([sys.executable, "-c", code], env=environment, **QUIETLY).stderr  # type: ignore[call-overload]


def test_what_it_did_not_make_outlives_it(tmp_path: Path) -> None:
    """It ends while it is at work, and takes its own files with it."""
    with behind_a_prefix(tmp_path) as server:
        visitor = Visitor(server.url)
        visitor.set("samples", 8)
        visitor.set("method", "dcgan")
        visitor.paint_on(noise(64, 64))
        visitor.fill(leave=True)
        began = time.monotonic()
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert time.monotonic() - began < 6.0  # it promises 5 s of its own clock
        assert "Traceback" not in server.log.read_text()
        left = sorted(str(file.relative_to(server.files)) for file in server.files.rglob("*"))
        assert left == ["photos", "photos/a.png", "thesis.txt"]


# Ending


def importing(program: subprocess.Popen[str], what: str) -> None:
    """Waits until a program has begun to import a library."""
    end = time.monotonic() + 60.0
    while what not in Path(f"/proc/{program.pid}/maps").read_text():
        assert program.poll() is None
        assert time.monotonic() < end, f"{what} was not imported"
        time.sleep(0.01)


# As they come in while the page starts; some builds of Python hold the first within themselves.
LIBRARIES = [name for name in ("_socket", "numpy", "libopenblas", "orjson") if name not in sys.builtin_module_names]


@pytest.mark.slow
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)], ids=["Ctrl-C", "SIGTERM"])
def test_it_ends_quietly_while_it_starts(library: str, number: int, status: int, tmp_path: Path) -> None:
    with start("app.py", PORT=str(free_port()), GRADIO_TEMP_DIR=str(tmp_path)) as page:
        importing(page, library)
        page.send_signal(number)
        out, said = page.communicate(timeout=30)
    assert page.returncode == status
    assert (out, said) == ("", "")


@pytest.mark.slow
@pytest.mark.parametrize("library", ["numpy", "libtorch"])
def test_a_command_ends_quietly_on_ctrl_c(library: str, tmp_path: Path) -> None:
    photo = str(ROOT / "examples" / "astronaut.jpg")
    words = (
        "complete",
        photo,
        "--mask",
        "full",
        "--samples",
        "64",
        "--method",
        "dcgan",
        "--out",
        str(tmp_path / "out"),
    )
    with start("-m", "csi_demo", *words) as command:
        importing(command, library)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
    assert command.returncode in (130, -signal.SIGINT)
    assert said in ("", "csi_demo: stopped\n")
    assert not (tmp_path / "out").exists()


# Forks


@pytest.mark.slow
@pytest.mark.parametrize("method", ["csi", "vae"])
def test_a_fork_after_a_fill_fills_alike(method: str) -> None:
    code = """
import os, sys
import numpy as np
from csi_demo import complete_photo

def fill():
    return np.asarray(complete_photo("examples/astronaut.jpg", "mouth", sys.argv[1], seeds=(1,))[0])

first = fill()
child = os.fork()
if not child:
    os._exit(0 if np.abs(fill().astype(int) - first).max() <= 8 else 3)
threads = os.waitpid(child, 0)[1]
sys.exit(os.waitstatus_to_exitcode(threads) or (0 if np.array_equal(fill(), first) else 4))
"""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", code, method], env=environment, timeout=240, **QUIETLY)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr


def test_works_after_idling_waits_for_what_runs() -> None:
    from csi_demo.ui.server import metrics

    assert metrics.wait_until_idle(0)
    with metrics.fill("plain"):
        assert not metrics.wait_until_idle(0.05)
        assert metrics.running() == 1
        waiting = threading.Thread(target=metrics.wait_until_idle, args=(30,))
        waiting.start()
    waiting.join(30)
    assert not waiting.is_alive()

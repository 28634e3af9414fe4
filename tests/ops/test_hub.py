"""Weights published to a Hub and loaded from it: real starts of the command line, over HTTP on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from csi_demo import weights
from csi_demo.cli import main
from csi_demo.ops import publishing

from ..server import ROOT, copy_folder
from .loopback_hub import TOKEN, LoopbackHub, Repository, serving

NAME = "somebody/faces"
FILL = ("complete", str(ROOT / "examples" / "astronaut.png"), "--aligned", "--mask", "mouth", "--method", "vae")


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with serving() as server:
        yield server


@pytest.fixture
def filled(hub: LoopbackHub) -> LoopbackHub:
    """A Hub that has the repository's weights."""
    hub.repositories[NAME] = Repository()
    hub.repositories[NAME].commit("main", shipped())
    return hub


def shipped() -> dict[str, bytes]:
    """Path -> content of the weights in this repository that are published."""
    folder = ROOT / "weights"
    files = (file for file in folder.rglob("*") if file.is_file())
    paths = {file.relative_to(folder).as_posix(): file for file in files}
    return {path: file.read_bytes() for path, file in paths.items() if not path.startswith(weights.TRAINING_ONLY)}


def begun(hub: LoopbackHub, home: Path, *words: str, **settings: str) -> subprocess.Popen[str]:
    """Starts the command line with this Hub, and a home of its own for cache and token."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "CSI_"))}
    ours = {
        "HF_ENDPOINT": hub.address,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_ETAG_TIMEOUT": "2",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "csi_demo", *words]
    home.mkdir(exist_ok=True)
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=inherited | ours | settings, cwd=home, **pipes)


def start(hub: LoopbackHub, home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """The same to its end."""
    with begun(hub, home, *words, **settings) as process:
        out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def fill(hub: LoopbackHub, home: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Fills a mouth with weights from the Hub; the result lies in home/out."""
    return start(hub, home, *FILL, "--out", "out", *words, **({"CSI_WEIGHTS_REPO": NAME} | settings))


def one_line(ended: subprocess.CompletedProcess[str], *parts: str) -> None:
    """Status 2, and one line on standard error with all these parts."""
    assert ended.returncode == 2, ended.stderr
    assert ended.stderr.startswith("csi_demo: ")
    assert ended.stderr.count("\n") == 1, ended.stderr
    for part in parts:
        assert part in ended.stderr


def cached(home: Path, file: str) -> Path:
    """Where a file lies in the cache."""
    (found,) = home.glob(f"hub/models--*/snapshots/*/{file}")
    return found


def test_what_is_published_fills_as_the_repository_does(
    hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    published = start(hub, tmp_path / "publisher", "publish", "--repo-id", NAME, HF_TOKEN=TOKEN)
    assert (published.returncode, published.stderr) == (0, "")
    repository = hub.repositories[NAME]
    commit = repository.branches["main"]
    assert f"CSI_WEIGHTS_REPO={NAME}@{commit}" in published.stdout
    pushed = repository.files("main")
    assert shipped().items() <= pushed.items()
    assert pushed["LICENSE"] == (ROOT / "LICENSE").read_bytes()
    card = ModelCard(pushed["README.md"].decode())
    assert card.data.license == "other"
    assert (card.data.license_name, card.data.license_link) == ("mit-code-non-commercial-weights", "LICENSE")

    home = tmp_path / "visitor"
    words = ("--method", "csi", "--samples", "2", "--seed", "4")
    assert fill(hub, home, *words, CSI_WEIGHTS_REPO=f"{NAME}@{commit}").returncode == 0
    monkeypatch.delenv("CSI_WEIGHTS_DIR", raising=False)
    assert main([*FILL, *words, "--out", str(home / "local")]) == 0
    for sample in ("sample-0.png", "sample-1.png"):
        assert (home / "out" / sample).read_bytes() == (home / "local" / sample).read_bytes()
    assert not any("dcgan" in path for path in hub.fetched()), "only what a method needs is downloaded"


@pytest.mark.slow
def test_what_is_cached_needs_no_hub(filled: LoopbackHub, tmp_path: Path):
    assert fill(filled, tmp_path).returncode == 0
    filled.requests.clear()
    offline = fill(filled, tmp_path, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr) == (0, "")
    assert not filled.requests
    filled.fault = "500"
    assert fill(filled, tmp_path).returncode == 0
    assert not filled.fetched()
    one_line(
        fill(filled, tmp_path, "--method", "csi", HF_HUB_OFFLINE="1"),
        f"csi/config.json could not be fetched from the Hub repository {NAME}@",
        "offline mode",
    )


FAULTS = {
    "truncated": "could not be fetched from the Hub repository somebody/faces: peer closed connection",
    "404": "manifest.json could not be fetched from the Hub repository somebody/faces: 404 Client Error",
    "401": "(is HF_TOKEN set, or `hf auth login` done?)",
    "500": "manifest.json could not be fetched from the Hub repository somebody/faces: Server error '500",
    "slow": "manifest.json could not be fetched from the Hub repository somebody/faces: ",
    "tampered": "vae.safetensors is damaged: its SHA-256 is",
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_hub_is_one_line_and_the_next_start_recovers(fault: str, filled: LoopbackHub, tmp_path: Path):
    filled.fault = fault
    one_line(fill(filled, tmp_path), FAULTS[fault], "timed out" if fault == "slow" else "")
    assert not (tmp_path / "out").exists()
    filled.fault = None
    assert fill(filled, tmp_path).returncode == 0
    assert (tmp_path / "out" / "sample-0.png").is_file()


@pytest.mark.slow
def test_a_connection_that_breaks_once_is_taken_up_again(filled: LoopbackHub, tmp_path: Path):
    filled.fault = "dropped once"
    assert fill(filled, tmp_path).returncode == 0
    assert [start for path, start in filled.starts if path.endswith("vae.safetensors")] == [0, 0]


@pytest.mark.slow
def test_a_start_that_was_killed_is_taken_up_with_the_file_that_it_was_at(filled: LoopbackHub, tmp_path: Path):
    filled.fault = "stalled"
    with begun(filled, tmp_path, *FILL, "--out", "out", CSI_WEIGHTS_REPO=NAME) as killed:
        while not any(path.endswith("vae.safetensors") for path, _ in filled.starts):
            assert killed.poll() is None
            time.sleep(0.05)
        killed.kill()
    before = {path for path, _ in filled.starts}
    assert any(path.endswith("vae/config.json") for path in before)
    filled.fault = None
    filled.starts.clear()
    assert fill(filled, tmp_path).returncode == 0
    assert [(Path(path).name, start) for path, start in filled.starts] == [("vae.safetensors", 0)]


@pytest.mark.slow
def test_what_is_damaged_in_the_cache_is_fetched_anew(filled: LoopbackHub, tmp_path: Path):
    assert fill(filled, tmp_path).returncode == 0
    tampered = json.loads(shipped()["manifest.json"])
    tampered["vae"]["vae.safetensors"] = "0" * 64
    damage = [
        ("vae/vae.safetensors", shipped()["vae/vae.safetensors"][:1000]),
        ("vae/config.json", b"{}"),
        ("manifest.json", b"{"),
        ("manifest.json", json.dumps(tampered).encode()),
    ]
    for file, content in damage:
        cached(tmp_path, file).write_bytes(content)
        if file == "vae/vae.safetensors":
            filled.fault = "500"
            one_line(fill(filled, tmp_path), f"{file} is damaged in the cache and could not be fetched from the Hub")
            filled.fault = None
        filled.requests.clear()
        healed = fill(filled, tmp_path)
        assert (healed.returncode, healed.stderr) == (0, "")
        assert cached(tmp_path, file).read_bytes() == shipped()[file]
        assert len(filled.fetched()) <= 2, "the manifest and a file"


@pytest.mark.slow
def test_a_branch_is_published_and_loaded_and_an_unknown_one_named(hub: LoopbackHub, tmp_path: Path):
    words = ("publish", "--repo-id", NAME, "--revision", "v1", "--private")
    assert start(hub, tmp_path, *words, HF_TOKEN=TOKEN).returncode == 0
    assert hub.repositories[NAME].private
    assert "manifest.json" not in hub.repositories[NAME].files("main")
    loaded = fill(hub, tmp_path, CSI_WEIGHTS_REPO=f"{NAME}@v1", HF_TOKEN=TOKEN)
    assert (loaded.returncode, loaded.stderr) == (0, "")
    one_line(
        fill(hub, tmp_path, CSI_WEIGHTS_REPO=f"{NAME}@v2", HF_TOKEN=TOKEN), f"repository {NAME}@v2: 404", "Revision"
    )
    one_line(fill(hub, tmp_path / "stranger"), "401")


@pytest.mark.slow
def test_what_cannot_be_published_is_said_in_one_line(filled: LoopbackHub, tmp_path: Path):
    words = ("publish", "--repo-id", NAME)
    one_line(start(filled, tmp_path, *words), "needs a Hub token that may write: set HF_TOKEN or run `hf auth login`")
    one_line(start(filled, tmp_path, "publish", "--repo-id", "a b/c", HF_TOKEN=TOKEN), "a b/c could not be published: ")
    one_line(start(filled, tmp_path, *words, HF_TOKEN="hf_wrong"), f"{NAME} could not be published: ", "401")
    one_line(start(filled, tmp_path, *words, "--private", HF_TOKEN=TOKEN), f"{NAME} exists and is public")
    assert len(filled.repositories[NAME].commits) == 1


def test_damaged_weights_are_not_published(filled: LoopbackHub, tmp_path: Path):
    copy = tmp_path / "weights"
    copy_folder(ROOT / "weights", copy)
    (copy / "vae" / "config.json").write_text("{}")
    words, settings = ("publish", "--repo-id", NAME), {"HF_TOKEN": TOKEN, "CSI_WEIGHTS_DIR": str(copy)}
    one_line(start(filled, tmp_path, *words, **settings), "vae/config.json is not what manifest.json says")
    (copy / "manifest.json").unlink()
    one_line(start(filled, tmp_path, *words, **settings), "manifest.json is missing: there are no weights to publish")
    assert not filled.requests


def test_the_card_has_every_figure_and_what_a_reader_must_know(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CSI_WEIGHTS_DIR", raising=False)
    metrics = weights.local_metrics()
    card = publishing.model_card(NAME, metrics)
    for heading in ("Use", "Training", "Figures", "Limits", "Ethics and privacy"):
        assert f"\n## {heading}\n" in card
    assert "CelebA" in card
    assert "non-commercial research only" in card
    for model, values in metrics.items():
        for name, figures in values.get("test", {}).items():
            row = next(
                line for line in card.splitlines() if f"| {name} | {model} |" in line or f"`{model}`, {name}:" in line
            )
            for key, value in figures.items():
                assert not isinstance(value, float) or str(value) in row, (model, name, key)

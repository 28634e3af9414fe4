"""What README and docs/ say against what is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from csi_demo import weights
from csi_demo.methods.csi.places import TURN
from csi_demo.ops import hard_soak
from csi_demo.ops.documents import rewrite
from csi_demo.weights import fingerprint

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DOCS = {file.stem: file.read_text() for file in (ROOT / "docs").glob("*.md")}


def prose(text: str) -> list[str]:
    """The sentences of a document, without its tables, headings and code."""
    text = re.sub(r"\A---.*?\n---\n|```.*?```", "", text, flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "<!--", "!"))]
    parts = re.split(r"\n\s*\n|\n(?=- )", "\n".join(lines))
    return [said for part in parts for said in re.split(r"(?<=[.!?:])\s+(?=[A-Z`*(\[])", part.strip()) if said]


def test_tables_are_those_of_the_figures():
    """Where this fails, `python -m csi_demo docs` writes them."""
    assert rewrite(ROOT, check=True) == []


def test_documents_are_short_and_plain():
    everything = [README, *DOCS.values(), (ROOT / "weights" / "TRAINING.md").read_text()]
    assert len(README.splitlines()) <= 110
    assert sum(len(text.split()) for text in everything) < 12_000
    lengths = [len(said.split()) for text in everything for said in prose(text)]
    assert max(lengths) <= 60
    assert sum(lengths) / len(lengths) <= 25


def test_links_lead_somewhere():
    for name, text in ({"README": README} | DOCS).items():
        home = ROOT if name == "README" else ROOT / "docs"
        for target in re.findall(r"\]\(((?!http)[^)#]+)", text):
            assert (home / target).is_file(), f"{name}: {target}"


@pytest.mark.parametrize("model", ["csi", "vae", "vae-oneshot", "dcgan", "attributes", "aligner", "vae-attributes"])
def test_metrics_name_the_commands_that_make_them(model: str):
    metrics = weights.read_metrics(model)
    assert metrics["training"]["hours"] > 0
    for figures in metrics["test"].values():
        assert figures["command"].startswith("python -m csi_demo ")
        assert figures["n"] > 0


def test_what_was_found_of_controls_is_of_the_weights_in_use():
    for model in ("csi", "vae-attributes", "pixelcnn"):
        known = json.loads((ROOT / "weights" / model / "latents.json").read_text())
        assert known["weights"] == fingerprint(model)
    named = json.loads((ROOT / "weights" / "csi" / "latents.json").read_text())["named"]
    measured = weights.read_metrics("csi")["test"]["controls"]["controls"][::2]
    assert [row["control"] for row in measured] == [entry["name"] for entry in named if entry["attribute"] != TURN]


def test_the_soaks_lost_nothing():
    soak, hard = (json.loads((ROOT / "docs" / name).read_text()) for name in ("soak.json", "soak-hard.json"))
    assert soak["errors"] == {}
    assert soak["files"] == 0
    assert soak["memory_mb"]["late"] < 1.1 * soak["memory_mb"]["warm"]
    assert hard_soak.lost(hard) == []
    assert hard["left_out"] == []


def test_the_space_runs_what_is_pinned_here():
    pinned = dict(
        line.split(";")[0].strip().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[2:]
    )
    assert f"sdk_version: {pinned['gradio']}\n" in README
    assert 'python_version: "3.12"\n' in README
    short = next(line for line in README.splitlines() if line.startswith("short_description: "))
    assert len(short) <= len("short_description: ") + 60

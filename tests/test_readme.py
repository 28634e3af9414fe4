"""What README says against what is there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FIGURES = ("psnr", "ssim", "l1", "bits_per_dim", "seam", "diversity", "seconds_per_image")


def test_figures_are_those_of_metrics_json():
    test = json.loads((ROOT / "weights" / "csi" / "metrics.json").read_text())["test"]["center"]
    row = next(line for line in README.splitlines() if line.startswith("| centre 32\u00d732 |"))
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [str(test[name]) for name in FIGURES]
    assert f"`{test['command']}`" in README


@pytest.mark.parametrize("model", ["csi", "aligner"])
def test_metrics_name_the_commands_that_make_them(model):
    metrics = json.loads((ROOT / "weights" / model / "metrics.json").read_text())
    assert metrics["training"]["hours"] > 0
    for figures in metrics["test"].values():
        assert figures["command"].startswith("python -m csi_demo ")
        assert figures["n"] > 0


def test_the_space_runs_what_is_pinned_here():
    pinned = dict(
        line.split(";")[0].strip().split("==") for line in (ROOT / "constraints.txt").read_text().splitlines()[2:]
    )
    assert f"sdk_version: {pinned['gradio']}\n" in README
    assert 'python_version: "3.12"\n' in README
    short = next(line for line in README.splitlines() if line.startswith("short_description: "))
    assert len(short) <= len("short_description: ") + 60

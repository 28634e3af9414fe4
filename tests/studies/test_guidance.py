"""Ham et al.'s table on a few made-up pictures, with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csi_demo.cli import main
from csi_demo.studies.guidance import PAPER


def test_the_rows_of_models_that_are_trained_stand_beside_the_papers(made_up: Path, tmp_path: Path, capsys):
    out = tmp_path / "guidance.json"
    words = ["evaluate-guidance", "--data", str(made_up / "val.parquet"), "--limit", "3", "--json", str(out)]
    assert main(words) == 0
    figures, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert figures["n"] == 3
    assert figures["command"].startswith("python -m csi_demo evaluate-guidance")
    rows = {row["model"]: row for row in figures["rows"]}
    assert PAPER.keys() < rows.keys()
    for name, row in rows.items():
        assert f"| {name} |" in printed
        assert row["score"] >= 1.0
        if name != "true pictures":
            assert row["distance"] > 0.0
            assert 0.0 <= row["agrees_judge"] <= 1.0
            assert -1.0 <= row["ssim"] <= 1.0
    masked = rows["masked, no attributes"]
    assert masked["paper_ssim"] == pytest.approx(0.446)
    # Where observed pixels are put back, features are nearer to the truth's.
    assert masked["distance"] < rows["masked, no attributes, unmasked reconstruction"]["distance"]

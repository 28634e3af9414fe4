"""Ham et al.'s table on a few made-up pictures, with the shipped weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csi_demo.cli import main
from csi_demo.research.studies.guidance import PAPER
from csi_demo.research.training.attribute_vae import AttributeVAERecipe, AttributeVAESettings
from csi_demo.research.training.loop import train


@pytest.mark.slow
def test_the_rows_of_models_that_are_trained_stand_beside_the_papers(made_up: Path, tmp_path: Path, capsys):
    out = tmp_path / "guidance.json"
    folders = [tmp_path / place for place in ("encoder", "decoder", "both")]
    for folder in folders:
        settings = AttributeVAESettings(
            pictures=(4,), batch=4, val_pictures=4, attributes="Smiling", bf16=False, start="vae"
        )
        train(AttributeVAERecipe(settings, {"attributes_to": folder.name}), made_up, folder, device="cpu")
    words = ["evaluate-guidance", "--data", str(made_up / "val.parquet"), "--limit", "3", "--json", str(out)]
    assert main([*words, "--trained", *map(str, folders)]) == 0
    figures, printed = json.loads(out.read_text()), capsys.readouterr().out
    assert figures["n"] == 3
    assert figures["command"].startswith("python -m csi_demo evaluate-guidance")
    rows = {row["model"]: row for row in figures["rows"]}
    assert PAPER.keys() < rows.keys()
    for name, row in rows.items():
        assert f"| {name} |" in printed
        assert row["score"] >= 1.0
        if name != "true pictures":
            assert row["pictures"] == 4 if "one attribute" in name else row["pictures"] > 1000
            assert row["distance"] > 0.0
            assert 0.0 <= row["agrees_judge"] <= 1.0
            assert -1.0 <= row["ssim"] <= 1.0
    masked = rows["masked, no attributes"]
    assert masked["paper_ssim"] == pytest.approx(0.446)
    # Where observed pixels are put back, features are nearer to the truth's.
    assert masked["distance"] < rows["masked, no attributes, unmasked reconstruction"]["distance"]
    assert len(rows) == 1 + 2 * 2 * (2 + len(folders))


def test_a_folder_without_an_attribute_vae_is_named(made_up: Path, tmp_path: Path, capsys):
    words = ["evaluate-guidance", "--data", str(made_up / "val.parquet"), "--trained", str(tmp_path / "nothing")]
    assert main(words) == 2
    assert "nothing" in capsys.readouterr().err

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import masks
from csi_demo.cli import main
from csi_demo.pixels import masks_to_tensor
from csi_demo.research.metrics.inside import measure
from csi_demo.research.metrics.seam import edge_step

MASK = masks_to_tensor([masks.family("center")])


def test_figures_of_a_perfect_and_of_a_shifted_fill():
    image = torch.rand((1, 3, 64, 64), generator=torch.Generator().manual_seed(0)) - 0.5
    perfect = measure(image, MASK, image.repeat(2, 1, 1, 1))
    assert perfect["l1"] == 0
    assert perfect["ssim"] == pytest.approx(1)
    assert perfect["diversity"] == 0
    assert perfect["step"] == perfect["true_step"]
    hole = MASK < 0.5
    shifted = torch.where(hole, image + 0.2, image)
    figures = measure(image, MASK, torch.cat((shifted, torch.where(hole, image - 0.2, image))))
    assert figures["l1"] == pytest.approx(0.2, abs=1e-5)
    assert figures["psnr"] == pytest.approx(10 * math.log10(4 / 0.04), abs=1e-3)
    assert figures["diversity"] == pytest.approx(0.4, abs=1e-5)
    assert figures["ssim"] < 0.999


def test_colour_counts_hues_and_not_brightness():
    image = torch.zeros(1, 3, 64, 64)
    hole, hue = MASK < 0.5, torch.tensor([0.3, -0.2, 0.1])[:, None, None]
    grey, tinted, both = (
        torch.where(hole, fill, image).repeat(2, 1, 1, 1) for fill in (image + 0.4, image + hue, image - 2 * hue)
    )
    figures = [measure(image, MASK, fills)["colour"] for fills in (image.repeat(2, 1, 1, 1), grey, tinted, both)]
    assert figures[0] == 0
    assert figures[1] < 0.1 < 10 < figures[2] < figures[3]


def test_figures_count_the_hole_alone():
    image = torch.zeros(1, 3, 64, 64)
    elsewhere = torch.where(MASK < 0.5, image, torch.ones_like(image)).repeat(2, 1, 1, 1)
    assert measure(image, MASK, elsewhere)["l1"] == 0


def test_edge_step_looks_at_the_lower_and_right_edges():
    hole = MASK[0, 0] < 0.5
    filled = torch.where(hole, torch.tensor(0.3), torch.tensor(0.0)).expand(1, 3, -1, -1)
    assert edge_step(MASK, filled) == pytest.approx(0.3)
    above = torch.zeros(1, 3, 64, 64)
    above[:, :, :16] = 1  # a step at the upper edge does not count
    assert edge_step(MASK, above) == 0
    assert edge_step(masks_to_tensor([masks.family("full")]), filled) == 0
    lower = edge_step(masks_to_tensor([masks.family("right")]), filled)
    assert lower == 0  # the hole ends at the frame


def test_evaluate_on_real_faces(packs: Path, tmp_path: Path):
    out, sheet = tmp_path / "figures.json", tmp_path / "sheet.png"
    words = ["evaluate", "--method", "csi", "--data", str(packs / "val.parquet"), "--mask", "mouth", "--limit", "3"]
    assert main([*words, "--json", str(out), "--contact-sheet", str(sheet)]) == 0
    figures = json.loads(out.read_text())
    assert figures["n"] == 3
    assert figures["command"].startswith("python -m csi_demo evaluate")
    expected = {"psnr", "ssim", "l1", "colour", "bits_per_dim", "seam", "diversity", "seconds_per_image"}
    assert expected <= set(figures)
    assert 10 < figures["psnr"] < 40
    assert 1 < figures["bits_per_dim"] < 5
    assert figures["diversity"] > 0.01
    pixels = np.asarray(Image.open(sheet))
    assert pixels.shape == (3 * 66 * 2, 6 * 66 * 2, 3)
    unguided = tmp_path / "unguided.json"
    assert main([*words, "--set", "guidance=0", "--json", str(unguided)]) == 0
    changed = json.loads(unguided.read_text())
    assert changed["psnr"] != figures["psnr"]
    assert changed["bits_per_dim"] == figures["bits_per_dim"]  # of the true pixels, under the model itself


@pytest.mark.slow
def test_several_methods_and_masks_in_one_run_shared_by_two_processes(packs: Path, tmp_path: Path, capsys):
    out, alone = tmp_path / "figures.json", tmp_path / "alone.json"
    words = ["evaluate", "--data", str(packs / "val.parquet"), "--limit", "2"]
    both = ["--method", "csi", "vae", "--mask", "nose", "10,10,20,20"]
    assert main([*words, *both, "--workers", "2", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    rows = json.loads(out.read_text())["rows"]
    assert [(row["mask"], row["method"]) for row in rows] == [
        ("nose", "csi"),
        ("nose", "vae"),
        ("10,10,20,20", "csi"),
        ("10,10,20,20", "vae"),
    ]
    assert f"| nose | csi | {rows[0]['psnr']} |" in printed
    assert "bits_per_dim" not in rows[1]
    assert main([*words, "--method", "vae", "--mask", "10,10,20,20", "--json", str(alone)]) == 0
    same = json.loads(alone.read_text())
    for name in ("psnr", "ssim", "l1", "seam", "diversity"):
        assert same[name] == pytest.approx(rows[3][name], abs=1e-3), name


@pytest.mark.slow
def test_samples_that_differ_in_expression(packs: Path, tmp_path: Path):
    out = tmp_path / "variety.json"
    words = ["evaluate-variety", "--data", str(packs / "val.parquet"), "--limit", "6", "--json", str(out)]
    assert main([*words, "--method", "csi", "vae-oneshot"]) == 0
    by_csi, by_vae = json.loads(out.read_text())["rows"]
    assert by_csi["varied"] > 0.5 > by_vae["varied"]  # a VAE's one way to fill a hole hardly changes
    assert by_csi["diversity"] > by_vae["diversity"] > 0
    assert 0 <= by_csi["varied_judge"] <= 1
    assert main([*words, "--method", "vae-oneshot", "--mask", "full"]) == 0
    assert json.loads(out.read_text())["rows"][0]["mask"] == "full"


@pytest.mark.slow
def test_samples_and_descent_on_real_faces(packs: Path, tmp_path: Path):
    val = str(packs / "val.parquet")
    sheet, out = tmp_path / "samples.png", tmp_path / "samples.json"
    words = ["evaluate-samples", "--data", val, "--limit", "460", "--method", "vae"]
    assert main([*words, "--contact-sheet", str(sheet), "--json", str(out)]) == 0
    figures = json.loads(out.read_text())["vae"]
    assert 0 < figures["floor"] < figures["frechet"] < 500
    assert Image.open(sheet).size == (8 * 66 * 2, 8 * 66 * 2)
    assert main(["evaluate-samples", "--data", val, "--limit", "460", "--method", "vae-oneshot"]) == 2


def test_a_method_without_weights_has_nowhere_to_record(capsys):
    assert main(["evaluate", "--method", "telea", "--data", "none.parquet", "--mask", "mouth", "--record"]) == 2
    assert "telea has no weights" in capsys.readouterr().err

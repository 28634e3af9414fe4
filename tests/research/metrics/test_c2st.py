"""The detector of fills: what it must find, and what it must not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from csi_demo import masks
from csi_demo.cli import main
from csi_demo.data import read_pack
from csi_demo.pixels import masks_to_tensor, to_float
from csi_demo.research.metrics.c2st import auc, c2st

from ...conftest import write_pack

MASK = masks_to_tensor([masks.family("mouth")])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains for a moment: enough for what is plain to see."""
    monkeypatch.setattr("csi_demo.research.metrics.c2st.STEPS", 60)
    monkeypatch.setattr("csi_demo.research.metrics.c2st.BATCH", 32)


def test_area_under_the_curve_and_its_error():
    assert auc(np.array([2.0, 3.0]), np.array([0.0, 1.0]))["c2st"] == 1
    assert auc(np.array([0.0, 1.0]), np.array([2.0, 3.0]))["c2st"] == 0
    same = np.arange(5.0)
    assert auc(same, same) == {"c2st": 0.5, "c2st_error": 0.0}
    assert auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]))["c2st"] == 0.875  # three pairs above and a tie
    rng, areas, errors = np.random.default_rng(0), [], []
    for _ in range(300):
        shared = rng.normal(size=60)  # pictures that look filled, whether they are or not
        found = auc(shared + rng.normal(size=60) + 1.0, shared + rng.normal(size=60))
        areas.append(found["c2st"])
        errors.append(found["c2st_error"])
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.1)


@pytest.mark.usefixtures("quick")
def test_it_knows_no_real_face_from_another_but_every_mean_coloured_hole(packs: Path):
    faces = to_float(read_pack(packs / "val.parquet", 400))
    one, other = faces[:200], faces[200:]
    both = c2st(one, other[:, None], MASK.expand(200, -1, -1, -1))
    assert abs(both["c2st"] - 0.5) < 3 * both["c2st_error"]
    assert 0.02 < both["c2st_error"] < 0.06
    hole = MASK < 0.5
    flat = torch.where(hole, one.mean((2, 3), keepdim=True), one)
    assert c2st(one, flat[:, None], MASK.expand(200, -1, -1, -1))["c2st"] > 0.99


@pytest.mark.usefixtures("quick")
def test_what_lies_beyond_the_margin_does_not_count_and_a_seed_repeats():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(40, 3, 64, 64, generator=generator) * 2.0 - 1.0
    holes = MASK.expand(40, -1, -1, -1)
    far = images[:, None].repeat(1, 2, 1, 1, 1)
    far[..., :20, :] = 0.0  # the mouth's hole and margin begin at row 38
    found = c2st(images, far, holes, seed=3)
    assert found["c2st"] == pytest.approx(0.5, abs=0.02)  # equal pictures; one of 80 may be rounded over the threshold
    near = images[:, None].repeat(1, 2, 1, 1, 1)
    near[..., 48:54, 28:36] = 0.0
    assert c2st(images, near, holes, seed=3)["c2st"] > 0.9
    state = torch.random.get_rng_state()
    assert c2st(images, near, holes, seed=3) == c2st(images, near, holes, seed=3)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.usefixtures("quick")
def test_evaluate_reports_it(made_up: Path, tmp_path: Path, capsys):
    write_pack(made_up / "test.parquet", 10, 3)
    out = tmp_path / "figures.json"
    words = ["evaluate", "--method", "vae-oneshot", "--data", str(made_up / "test.parquet"), "--mask", "mouth", "nose"]
    assert main([*words, "--c2st", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert all(0 <= row["c2st"] <= 1 and row["c2st_error"] >= 0 for row in rows)
    assert f"| {rows[0]['c2st']} | {rows[0]['c2st_error']} |" in capsys.readouterr().out
    assert main([*words, "--c2st", "--limit", "7"]) == 2
    assert "7 pictures: a detector needs 8 or more" in capsys.readouterr().err

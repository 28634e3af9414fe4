from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import torch

from csi_demo.cli import main
from csi_demo.methods import Control, available_methods
from csi_demo.methods.csi import CSIMethod
from csi_demo.models.csi import CSIConfig
from csi_demo.ops import benchmark
from csi_demo.sampling import compiled

from ..conftest import random_model

pytest.importorskip("numba")


@pytest.fixture
def small(monkeypatch):
    """A small model, no page, small holes."""
    monkeypatch.setattr(benchmark, "page_answers", lambda: 1.5)
    monkeypatch.setattr(benchmark, "COMPARED", ("mouth",))
    monkeypatch.setattr(benchmark, "CSIMethod", lambda: CSIMethod(model=random_model(1).float()))
    monkeypatch.setattr(benchmark.bench, "__defaults__", (((4, 3), (6, 5)), (1, 2), 7))


@pytest.mark.slow
def test_bench_writes_every_speed(small, tmp_path, capsys):
    out, picture = tmp_path / "bench.json", tmp_path / "bench.png"
    assert main(["bench", "--json", str(out), "--plot", str(picture), "--repeats", "1"]) == 0
    figures = json.loads(out.read_text())
    assert figures["page_answers_seconds"] == 1.5
    assert all(took[part] > 0 for took in figures["large_photo"].values() for part in ("find_ms", "finish_ms"))
    taken = figures["methods_ms"]["mouth"]
    assert tuple(taken) == available_methods()
    assert all(value > 0 for value in taken.values())
    rows = figures["holes"]
    assert [(row["hole"], row["samples"]) for row in rows] == [("4x3", 1), ("4x3", 2), ("6x5", 1), ("6x5", 2)]
    for row in rows:
        assert all(value > 0 for name, value in row.items() if name != "hole")
        assert row["times_the_limit"] == pytest.approx(row["us_per_pixel"] / row["limit_us_per_pixel"])
    assert [row["times_one_sample"] for row in rows][::2] == [1.0, 1.0]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.count("faster than torch") == 1


def test_multiply_adds_of_a_whole_frame_are_those_of_every_convolution():
    model = random_model(0)
    layers = [layer for layer in (*model.forward_stream.modules(), model.head) if isinstance(layer, torch.nn.Conv2d)]
    expected = 8 * 8 * sum(layer.weight.numel() for layer in layers)
    assert benchmark.multiply_adds(model.config, np.ones((8, 8), bool)) == expected


def test_multiply_adds_shrink_with_the_hole():
    hole = np.zeros((64, 64), bool)
    hole[30:44, 20:44] = True
    whole, part = (benchmark.multiply_adds(CSIConfig(), region) for region in (np.ones((64, 64), bool), hole))
    assert 0.08 < part / whole < 0.3


def test_bad_repeats_and_missing_kernel_are_said_plainly(small, tmp_path, capsys, monkeypatch):
    assert main(["bench", "--json", str(tmp_path / "bench.json"), "--repeats", "0"]) == 2
    assert "--repeats 0 is out of range" in capsys.readouterr().err
    monkeypatch.setattr(compiled.code, "make", lambda: False)
    assert main(["bench", "--json", str(tmp_path / "bench.json")]) == 2
    assert "install numba" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_slider_positions_go_from_end_to_end():
    positions = benchmark._slider_values(Control("smile", "Smile", -2.0, 2.0, None, ""))
    drawn = [next(positions) for _ in range(120)]
    assert (min(drawn), max(drawn)) == (-2.0, 2.0)
    assert all(a != b for a, b in pairwise(drawn))
    assert torch.tensor(drawn).unique().numel() == 51

"""A disk that is full: one line, nothing half written, and what was there before stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from csi_demo import weights
from csi_demo.cli import main
from csi_demo.files import write_all

from .conftest import small_disk
from .server import ROOT

PHOTO = str(ROOT / "examples" / "astronaut.jpg")
FILL = ["complete", PHOTO, "--method", "vae-oneshot", "--set", "iterations=1", "--mask", "mouth", "--no-refine"]


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_fill_is_stored_whole_or_not_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The case: an empty `.part` was left behind."""
    out = tmp_path / "below" / "out"
    with small_disk(100_000):
        assert main([*FILL, "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"csi_demo: cannot write to {out}: File too large\n"
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_fill_stays_where_a_later_one_does_not_fit(tmp_path: Path) -> None:
    assert main([*FILL, "--out", str(tmp_path)]) == 0
    before = files_in(tmp_path)
    with small_disk(100_000):
        assert main([*FILL, "--seed", "1", "--samples", "2", "--out", str(tmp_path)]) == 2
    assert files_in(tmp_path) == before


def test_no_file_takes_its_place_before_all_are_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with small_disk(1000), pytest.raises(OSError, match="File too large") as raised:
        write_all({tmp_path / "a": b"new", tmp_path / "new" / "b": bytes(2000)})
    assert raised.value.filename == str(tmp_path / "new" / "b")
    assert files_in(tmp_path) == {"a": b"old"}
    assert not (tmp_path / "new").exists()


def test_a_model_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    groups = {"small": ("small",), "large": ("",)}
    state = {"small": torch.zeros(4), "large": torch.zeros(10)}
    weights.save_model(tmp_path / "model", {"size": 1}, state, {}, groups)
    before = files_in(tmp_path)
    with small_disk(20_000), pytest.raises(OSError, match="File too large"):
        weights.save_model(
            tmp_path / "model", {"size": 2}, {"small": torch.ones(4), "large": torch.ones(20_000)}, {}, groups
        )
    assert files_in(tmp_path) == before
    assert weights.load_state("model", tmp_path)["large"].tolist() == [0.0] * 10

"""Virtual visitors at the real server, for a few seconds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from csi_demo.cli import main
from csi_demo.ops import soaking

from ..server import free_port, serving


@pytest.mark.slow
def test_visitors_come_and_go_without_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "soak.json"
    with serving(tmp_path) as server:
        words = ["soak", "--url", server.url, "--minutes", "0.2", "--visitors", "2", "--json", str(file)]
        assert main([*words, "--pid", str(server.process.pid), "--files", str(server.files)]) == 0
    figures = json.loads(file.read_text())
    assert figures["errors"] == {}
    assert figures["seconds"]["upload"]["n"] >= 2
    assert figures["requests"] == sum(one["n"] for one in figures["seconds"].values()) >= 6
    assert figures["memory_mb"]["warm"] > 100
    assert figures["files"] == 0
    assert "2 visitors" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--url", "http://127.0.0.1:{port}"], "no page answers at http://127.0.0.1:"),
        (["--url", "nonsense"], "no page answers at nonsense/"),
        (["--visitors", "0"], "--visitors from 1 to 1000"),
        (["--minutes", "nan"], "--minutes is from"),
    ],
)
def test_what_cannot_be_soaked_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soak", *(word.format(port=free_port()) for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_growth_counts_from_the_end_of_the_warm_up_and_not_from_one_moment() -> None:
    warming, steady, growing = [500 + 5 * second for second in range(60)], [800] * 120, [800 + n for n in range(120)]
    steady[5], growing[-3] = 2000, 400
    figures = soaking.growth([450, *warming, *steady, *growing])
    assert figures == {"before": 450, "warm": 800, "late": 904, "highest": 2000}
    assert soaking.growth([450, 500]) == {"before": 450, "warm": 500, "late": 500, "highest": 500}

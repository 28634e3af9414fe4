"""A blind trial: its page, its key, and the rate of right answers."""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_demo.cli import main
from csi_demo.commands.trial import judged, wilson
from csi_demo.errors import UsageError


def test_a_trial_shows_each_photo_once_beside_its_fill(astronaut: Image.Image, tmp_path: Path, capsys) -> None:
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for number in range(2):
        astronaut.save(photos / f"{number}.png")
    words = ["trial", str(photos), "--out", str(out), "--method", "telea", "--mask", "mouth", "eyes"]
    assert main(words) == 0
    page, key = (out / "trial.html").read_text(), json.loads((out / "key.json").read_text())
    content = json.loads(re.search(r'id="content">(.*?)</script>', page, re.DOTALL)[1])  # type: ignore[index]
    assert content["trial"] == key["trial"]
    assert sorted(pair["row"] for pair in key["pairs"]) == [0, 1]
    assert {pair["mask"] for pair in key["pairs"]} == {"mouth", "eyes"}
    assert '"photo"' not in page
    for pictures in content["pairs"]:
        left, right = (
            np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).astype(int) for url in pictures
        )
        assert left.shape == right.shape
        assert 0.01 < (np.abs(left - right).max(2) > 16).mean() < 0.5
    sides = {str(number): pair["photo"] for number, pair in enumerate(key["pairs"], 1)}
    (tmp_path / "answers.json").write_text(json.dumps({"trial": key["trial"], "answers": sides}))
    capsys.readouterr()
    assert main(["trial", "--answers", str(tmp_path / "answers.json"), "--key", str(out / "key.json")]) == 0
    assert "all holes: 2 of 2 right, 100%" in capsys.readouterr().out


def test_right_answers_are_counted_by_method_and_hole() -> None:
    sides = ("left", "right", "left", "left")
    key = {"trial": "t", "pairs": [{"method": "csi", "mask": "mouth", "photo": side} for side in sides]}
    rows = judged({"trial": "t", "answers": {"1": "left", "2": "left", "3": "left"}}, key)
    assert [(row["method"], row["n"], row["right"]) for row in rows] == [("csi", 3, 2), ("all", 3, 2)]
    with pytest.raises(UsageError, match="not of this trial"):
        judged({"trial": "other", "answers": {"1": "left"}}, key)
    with pytest.raises(UsageError, match="no pair has an answer"):
        judged({"trial": "t", "answers": {}}, key)


def test_the_interval_is_wilsons() -> None:
    assert wilson(71, 72) == pytest.approx((0.9254, 0.9975), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "need photos and --out"),
        (["{}"], "--out is needed"),
        (["--answers", "{}/nothing.json"], "cannot read"),
        (["{}", "--out", "{}/out"], "no photos in"),
        (["--answers", "{}/text.json"], "is no JSON"),
    ],
)
def test_what_cannot_be_done_is_one_line(words: list[str], said: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "text.json").write_text("no")
    assert main(["trial", *(word.format(tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1

"""Figures of whole photos: the astronaut's, in a pack of her own."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from csi_demo.cli import main
from csi_demo.data import read_encoded
from csi_demo.errors import DataError
from csi_demo.research.studies.photos import TILE

NOBODY = Image.new("RGB", (178, 218), (90, 120, 90))


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory, astronaut: Image.Image) -> Path:
    """A portrait and a picture of nobody."""
    folder, files = tmp_path_factory.mktemp("photos"), []
    for picture in (astronaut, NOBODY):
        picture.save(folder / "photo.png")
        files.append((folder / "photo.png").read_bytes())
    pq.write_table(pa.table({"image": [{"bytes": file, "path": ""} for file in files]}), folder / "pack.parquet")
    return folder / "pack.parquet"


@pytest.mark.slow
def test_whole_photos_are_measured_as_drawn_and_refined(pack: Path, tmp_path: Path) -> None:
    out, sheet = tmp_path / "photos.json", tmp_path / "sheet.png"
    words = ["evaluate", "--photos", str(pack), "--mask", "mouth", "--json", str(out), "--contact-sheet", str(sheet)]
    assert main(words) == 0
    drawn, refined = json.loads(out.read_text())["rows"]
    assert (drawn["refine"], refined["refine"]) == (False, True)
    for row in (drawn, refined):
        assert row["n"] == 1
        assert row["found"] == 0.5
        assert 0.0 < row["l1"] < 0.5
    assert refined["sharpness"] > drawn["sharpness"]
    with Image.open(sheet) as picture:
        assert picture.size == (4 * TILE, TILE)


def test_a_folder_of_photos_does_as_a_pack(astronaut: Image.Image, tmp_path: Path) -> None:
    astronaut.save(tmp_path / "a.png")
    (tmp_path / "notes.txt").write_text("no photo")
    assert read_encoded(tmp_path) == {str(tmp_path / "a.png"): (tmp_path / "a.png").read_bytes()}
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no photos in"):
        read_encoded(tmp_path / "empty")


@pytest.mark.slow
def test_refining_keeps_what_a_slider_decides(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "kept.json"
    assert main(["evaluate", "--photos", str(pack), "--controls", "smile", "fringe", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["controls"]
    assert [(row["control"], row["judge"]) for row in rows[::2]] == [
        ("smile", "face network"),
        ("fringe", "face network"),
    ]
    for row in rows:
        assert row["n"] == 1
        assert row["drawn"] > 0.3
        assert row["apart"] == pytest.approx(abs(row["refined"] - row["drawn"]), abs=2e-4)
        assert row["kept"] == float(row["apart"] <= 0.1)
    assert "| smile | mouth | face network |" in capsys.readouterr().out


def test_what_cannot_be_measured_is_said(pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, picture = tmp_path / "nobody.parquet", pq.read_table(pack)
    pq.write_table(picture.slice(1), file)
    for words in (["--mask", "mouth"], ["--controls", "smile"]):
        assert main(["evaluate", "--photos", str(file), *words]) == 2
        assert "no face was found in any of 1 photos" in capsys.readouterr().err
    for row, broken in ((b"no picture", "is not a picture"), (None, "is empty"), (b"\xff\xd8\xff", "row 1")):
        pq.write_table(pa.table({"image": [*picture["image"].to_pylist()[1:], {"bytes": row, "path": ""}]}), file)
        for words in (["--mask", "mouth"], ["--controls", "smile"]):
            assert main(["evaluate", "--photos", str(file), *words]) == 2
            error = capsys.readouterr().err
            assert f"{file}, row 1" in error
            assert broken in error
            assert "Traceback" not in error
    assert main(["evaluate", "--photos", str(pack), "--controls", "smirk"]) == 2
    assert "smirk: not among smile" in capsys.readouterr().err

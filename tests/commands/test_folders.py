"""What the commands take for photos in a folder, and what they leave of what lies where they write."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from csi_demo.cli import main
from csi_demo.commands.complete import write_files
from csi_demo.commands.complete_many import _store, _why, find_photos
from csi_demo.errors import UsageError

from ..server import ROOT

PHOTO = str(ROOT / "examples" / "astronaut.png")


def touched(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def test_what_is_no_photo_is_skipped_and_counted(tmp_path: Path) -> None:
    touched(tmp_path, "b.JPG", "a.png", "c.jfif", "d.heic", "._a.png", ".DS_Store", "notes.txt", "below/e.tif", "f")
    (tmp_path / "broken.png").symlink_to(tmp_path / "gone.png")
    (tmp_path / "linked.png").symlink_to(tmp_path / "a.png")
    photos, skipped = find_photos(tmp_path, False, tmp_path / "out")
    assert [photo.name for photo in photos] == ["a.png", "b.JPG", "c.jfif", "d.heic", "linked.png"]
    assert skipped == {"hidden": 2, "no photos by their names": 2, "broken links": 1, "folders, without --recursive": 1}
    assert "2 hidden" in _why(skipped)


def test_recursive_finds_photos_below_but_neither_results_nor_in_circles(tmp_path: Path) -> None:
    touched(tmp_path, "a.png", "one/b.png", "one/two/c.png", "out/d.png", "one/._c.png", ".hidden/e.png")
    (tmp_path / "one" / "circle").symlink_to(tmp_path)
    photos, skipped = find_photos(tmp_path, True, tmp_path / "out")
    assert [str(photo.relative_to(tmp_path)) for photo in photos] == ["a.png", "one/b.png", "one/two/c.png"]
    assert skipped == {"hidden": 2, "links to folders": 1}


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to become somebody else")
def test_a_folder_that_cannot_be_read_is_skipped_and_counted() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        touched(folder, "a.png", "closed/b.png")
        (folder / "closed").chmod(0o700)
        os.seteuid(65534)
        try:
            photos, skipped = find_photos(folder, True, folder / "out")
        finally:
            os.seteuid(0)
    assert [photo.name for photo in photos] == ["a.png"]
    assert skipped == {"folders that cannot be read": 1}


def test_a_folder_of_none_says_what_was_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    touched(tmp_path, "._a.png", "notes.txt")
    assert main(["complete-many", str(tmp_path), "--mask", "mouth", "--out", str(tmp_path / "out")]) == 2
    assert "(1 hidden, 1 no photos by their names): their names end in .png, .jpg" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def fill(out: Path, samples: int) -> None:
    words = ["--method", "vae-oneshot", "--set", "iterations=1", "--aligned", "--mask", "mouth"]
    assert main(["complete", PHOTO, *words, "--samples", str(samples), "--out", str(out)]) == 0


def test_fewer_samples_leave_none_that_run_json_does_not_name(tmp_path: Path) -> None:
    """The case; what was not made by the command stays."""
    fill(tmp_path, 3)
    touched(tmp_path, "sample-7.png", "sample-old.png", "notes.txt")
    fill(tmp_path, 1)
    left = {"run.json", "sample-0.png", "sample-7.png", "sample-old.png", "notes.txt"}
    assert {file.name for file in tmp_path.iterdir()} == left
    assert json.loads((tmp_path / "run.json").read_text())["seeds"] == [0]


@pytest.mark.parametrize("run", [None, "no JSON", "[]", '{"seeds": 3}', '{"seeds": null}'])
def test_samples_that_no_run_names_stay(tmp_path: Path, run: str | None) -> None:
    touched(tmp_path, "sample-0.png", "sample-1.png")
    if run is not None:
        (tmp_path / "run.json").write_text(run)
    write_files({"sample-0.png": b"new", "run.json": b"{}"}, tmp_path)
    assert (tmp_path / "sample-1.png").read_bytes() == b"x"
    assert (tmp_path / "sample-0.png").read_bytes() == b"new"


def test_a_result_in_a_folder_that_is_there_leaves_what_else_is_in_it(tmp_path: Path) -> None:
    touched(tmp_path, "a.png/notes.txt", "a.png/sample-1.png", "b.png")
    (tmp_path / "a.png" / "run.json").write_text('{"seeds": [0, 1]}')
    _store({"sample-0.png": b"new", "run.json": b"{}"}, tmp_path / "a.png", tmp_path)
    assert {file.name for file in (tmp_path / "a.png").iterdir()} == {"notes.txt", "sample-0.png", "run.json"}
    with pytest.raises(UsageError, match="cannot write to"):
        _store({"run.json": b"{}"}, tmp_path / "b.png", tmp_path)
    assert (tmp_path / "b.png").read_bytes() == b"x"  # the user's file of that name
    _store({"run.json": b"{}"}, tmp_path / "below" / "c.png", tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.png", "b.png", "below"]

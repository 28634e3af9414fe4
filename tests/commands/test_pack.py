"""From a folder of photos to packs: `pack` on photos of one person in many forms, and on what is no photo."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo.cli import main
from csi_demo.commands.pack import Face, read_labels, split_people
from csi_demo.data import read_attributes, read_identities, read_split
from csi_demo.errors import UsageError


def photos(folder: Path, astronaut: Image.Image) -> None:
    """Four that differ, one of them twice, among what cannot be packed."""
    (folder / "below").mkdir(parents=True)
    astronaut.save(folder / "one.png")
    astronaut.save(folder / "again.bmp")
    astronaut.convert("L").save(folder / "two.jpg")
    astronaut.rotate(10).save(folder / "below" / "three.png")
    astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "below" / "four.webp")
    astronaut.resize((60, 60)).save(folder / "small.png")
    Image.effect_noise((300, 200), 20).save(folder / "nobody.png")
    Image.new("RGB", (5, 5)).save(folder / "tiny.gif")
    (folder / "broken.jpg").write_bytes((folder / "two.jpg").read_bytes()[:300])
    (folder / "notes.txt").write_text("no photo")


def test_photos_are_found_aligned_labelled_split_and_the_rest_is_named(tmp_path, astronaut, monkeypatch, capsys):
    monkeypatch.setenv("CSI_CACHE", str(tmp_path / "cache"))
    folder, out = tmp_path / "photos", tmp_path / "packs"
    photos(folder, astronaut)
    table = "photo;Big Smile;person\r\none.png;1;anna\r\nthree;0;anna\r\nfour.webp;yes;eva\r\nelsewhere.png;1;\r\n"
    (tmp_path / "labels.csv").write_bytes(b"\xef\xbb\xbf" + table.encode())
    words = ["pack", str(folder), "--out", str(out), "--labels", str(tmp_path / "labels.csv"), "--val", "0.3"]
    assert main(words) == 0
    said, report = capsys.readouterr().out, json.loads((out / "pack.json").read_text())
    assert report["left_out"] == {
        "the same photo again": ["one.png"],
        "photos that cannot be read": ["broken.jpg"],
        "photos without a face": ["nobody.png", "tiny.gif"],
        "faces below 64 pixels": ["small.png"],
    }
    assert report["photos_without_labels"] == ["again.bmp", "two.jpg"]
    assert report["labels_without_photo"] == ["elsewhere.png"]
    assert report["skipped"] == {"no photos by their names": 1}
    assert sum(report["faces"].values()) == 4
    assert "left out: 2 photos without a face" in said

    splits = [split for split in ("train", "val", "test") if report["faces"][split]]
    frames = torch.cat([read_split(out / "64", split) for split in splits])
    assert frames.shape == (4, 3, 64, 64)
    assert torch.cat([read_split(out / "178", split, (178, 218)) for split in splits]).shape == (4, 3, 218, 178)
    people = [set(read_identities(out / "64", split).tolist()) for split in splits]
    assert sum(map(len, people)) == len(set.union(*people))
    labels = torch.cat([read_attributes(out / "64", split, ("Big_Smile",)) for split in splits])[:, 0]
    assert sorted(labels[~labels.isnan()].tolist()) == [-1.0, 1.0]

    assert main(words) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["train", "vae", "--data", str(folder), "--out", str(tmp_path / "run")]) == 2
    assert "has plain pictures: `python -m csi_demo pack" in capsys.readouterr().err
    assert main(["train", "vae", "--data", str(out), "--out", str(tmp_path / "run")]) == 2
    assert "64: name one of them" in capsys.readouterr().err


def test_one_person_and_none_are_too_few(tmp_path: Path, astronaut: Image.Image, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    assert main(["pack", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "no photos in" in capsys.readouterr().err
    astronaut.save(folder / "one.png")
    assert main(["pack", str(folder), "--out", str(tmp_path / "out")]) == 2
    assert "at least two people are needed" in capsys.readouterr().err
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("photo\na.png", "needs a first row of names"),
        ("photo,a\nx.png,maybe", "row 2, a: 'maybe' is neither 1 nor 0"),
        ("photo,a\nx.png,1,0", "row 2: 3 cells, 2 columns"),
        ("photo,a,a\nx.png,1,0", "two of one name"),
        ("photo,a\nx.png,1\nx.png,0", "row 3: x.png for the second time"),
    ],
)
def test_labels_that_mean_nothing_are_named(tmp_path: Path, table: str, said: str):
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(UsageError, match=said):
        read_labels(tmp_path / "labels.csv")


@pytest.mark.parametrize("people", [2, 3, 10, 50])
def test_nobody_is_in_two_splits_and_none_is_empty_that_is_needed(people: int):
    rng = np.random.default_rng(people)
    faces = [Face(f"{row}.png", str(rng.integers(people)), b"", None, None) for row in range(20 * people)]
    splits = split_people(faces, 0.1, 0.1)
    found = [{face.person for face in rows} for rows in splits.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == people
    assert splits["train"]
    assert splits["val"]

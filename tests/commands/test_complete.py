"""The command line with the shipped weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_demo import masks
from csi_demo.cli import main
from csi_demo.photo.placement import Placement
from csi_demo.photo.reading import open_photo

from ..server import ROOT

FRAME = str(ROOT / "examples" / "astronaut.png")


def complete(out: Path, *words: str, photo: str = FRAME) -> list[np.ndarray]:
    """Runs `complete`; returns the pictures it wrote."""
    assert main(["complete", photo, "--method", "csi", "--out", str(out), *words]) == 0
    return [np.asarray(Image.open(file)) for file in sorted(out.glob("sample-*.png"))]


def test_the_same_seed_gives_the_same_files_and_another_seed_another_fill(tmp_path: Path):
    words = ("--aligned", "--mask", "mouth", "--samples", "2", "--seed", "5")
    complete(tmp_path / "a", *words)
    complete(tmp_path / "b", *words)
    for name in ("sample-0.png", "sample-1.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    first, second = (np.asarray(Image.open(tmp_path / "a" / f"sample-{k}.png")).astype(int) for k in (0, 1))
    hole = ~masks.family("mouth")
    assert np.abs(first - second)[hole].mean() > 2
    (alone,) = complete(tmp_path / "c", "--aligned", "--mask", "mouth", "--seed", "6")
    assert np.array_equal(alone, second), "a sample depends on the batch it was drawn in"


@pytest.mark.parametrize("mask", ["mouth", "left", "random:3", "10,50,64,64", "full"])
def test_observed_pixels_are_the_photos_own(tmp_path: Path, mask: str):
    (filled,) = complete(tmp_path, "--aligned", "--mask", mask)
    keep = masks.family(mask)
    original = np.asarray(Image.open(FRAME).convert("RGB"))
    assert np.array_equal(filled[keep], original[keep])
    assert (filled[~keep] != original[~keep]).any(1).mean() > 0.5


def test_a_latent_changes_the_fill_and_nothing_else(tmp_path: Path):
    words = ("--aligned", "--mask", "bottom")
    (low,) = complete(tmp_path / "low", *words, "--set", "z0=-2.5")
    (high,) = complete(tmp_path / "high", *words, "--set", "z0=2.5", "--set", "spread=1")
    assert not np.array_equal(low, high)
    run = json.loads((tmp_path / "high" / "run.json").read_text())
    assert run["controls"] == {"z0": 2.5}
    assert run["options"] == {"spread": 1.0}
    assert run["seeds"] == [0]
    assert 0 < run["info"]["bits_per_dim"][0] < 8


def test_less_truncation_brings_more_detail(tmp_path: Path):
    words = ("--aligned", "--mask", "bottom", "--set", "spread=0", "--set", "guidance=0")
    fills = [complete(tmp_path / value, *words, "--set", f"truncation={value}")[0] for value in ("0.1", "8")]
    rough = [np.abs(np.diff(fill[32:].astype(int), axis=1)).mean() for fill in fills]
    assert rough[1] > 1.5 * rough[0]


def test_a_photo_of_any_size_with_a_painted_mask(tmp_path: Path):
    photo = Image.open(FRAME).convert("RGB").resize((300, 200), Image.Resampling.BICUBIC)
    photo.save(tmp_path / "photo.jpg", quality=95)
    painted = Image.new("L", (300, 200), 255)
    painted.paste(0, (120, 130, 180, 160))
    painted.save(tmp_path / "mask.png")
    words = ("--mask", str(tmp_path / "mask.png"), "--place", "150,100,200,3")
    (filled,) = complete(tmp_path / "out", *words, photo=str(tmp_path / "photo.jpg"))
    before, keep = np.asarray(Image.open(tmp_path / "photo.jpg")), np.asarray(painted) > 0
    assert filled.shape == (200, 300, 3)
    assert np.array_equal(filled[keep], before[keep])
    assert not np.array_equal(filled, before)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [run["placement"][name] for name in ("x", "y", "size", "angle")] == [150, 100, 200, 3]
    assert len(run["placement"]["corners"]) == 4
    (raw,) = complete(tmp_path / "raw", *words, "--no-blend", photo=str(tmp_path / "photo.jpg"))
    assert np.array_equal(raw[keep], before[keep])
    assert not np.array_equal(raw, filled)


def upright(astronaut: Image.Image, file: Path) -> list[str]:
    astronaut.save(file, "PNG")
    return []


def turned(astronaut: Image.Image, file: Path) -> list[str]:
    """As a camera held on its side stores it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    astronaut.transpose(Image.Transpose.ROTATE_90).save(file, "PNG", exif=exif)
    return []


def group(astronaut: Image.Image, file: Path) -> list[str]:
    """The second of three, the first of whom is larger."""
    party = Image.new("RGB", (1500, 700), (120, 130, 140))
    for corner, size in (((0, 0), 512), ((520, 20), 680), ((1210, 300), 280)):
        party.paste(astronaut.resize((size, size), Image.Resampling.LANCZOS), corner)
    party.save(file, "PNG")
    return ["--face", "2"]


@pytest.mark.parametrize("stored", [upright, turned, group])
def test_the_mouth_of_a_512x512_portrait_is_filled(astronaut: Image.Image, tmp_path: Path, stored):
    words = stored(astronaut, tmp_path / "photo.png")
    (filled,) = complete(tmp_path / "out", "--mask", "mouth", *words, photo=str(tmp_path / "photo.png"))
    photo = open_photo(tmp_path / "photo.png")
    before = np.asarray(photo)
    assert np.array_equal(before[:512, :512], np.asarray(astronaut)), "the portrait stands upright in the corner"
    assert filled.shape == before.shape == ((700, 1500, 3) if stored is group else (512, 512, 3))
    place = json.loads((tmp_path / "out" / "run.json").read_text())["placement"]
    placement = Placement(*(place[name] for name in ("x", "y", "size", "angle")))
    hole = ~placement.photo_mask(masks.family("mouth"), photo.size)
    assert np.array_equal(filled[~hole], before[~hole])
    assert (filled[hole] != before[hole]).any(1).mean() > 0.7
    rows, columns = np.nonzero(hole)
    assert 115 < rows.min() < 137 < 147 < rows.max() < 175, "her mouth"
    assert 185 < columns.min() < 210 < 238 < columns.max() < 265, "her mouth"


@pytest.mark.parametrize("size", [(20, 5000), (5000, 20)])
def test_a_strip_is_filled_in_its_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str], size: tuple[int, int]):
    Image.linear_gradient("L").resize(size).convert("RGB").save(tmp_path / "strip.png")
    (filled,) = complete(tmp_path / "out", "--mask", "mouth", photo=str(tmp_path / "strip.png"))
    said = capsys.readouterr().err
    assert said == "csi_demo: no face found: the largest square in the middle of the photo is filled in\n"
    before = np.asarray(Image.open(tmp_path / "strip.png"))
    assert filled.shape == before.shape
    changed = (filled != before).any(2)
    assert changed.any()
    place = Placement.centred(size)
    assert not changed[place.photo_mask("mouth", size)].any()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (10, 10), 0).save(tmp_path / "small.png")
    Image.new("RGB", (1, 1)).save(tmp_path / "pixel.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "white.png")
    dot = Image.new("L", (64, 64), 255)
    dot.paste(0, (40, 40, 50, 50))
    dot.save(tmp_path / "dot.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "folder").mkdir()
    dot.save(tmp_path / "folder" / "photo.png")
    (tmp_path / "file").write_text("")
    names = ("text.png", "small.png", "pixel.png", "white.png", "dot.png", "empty", "folder", "file", "none.png")
    return {name: str(tmp_path / name) for name in names}


BAD = [
    ("complete {text.png} --mask mouth --out OUT", "text.png is not a picture that can be read: use a PNG"),
    ("complete {none.png} --mask mouth --out OUT", "no such file: none.png"),
    ("complete {pixel.png} --mask mouth --out OUT", "the photo has 1x1 pixels: at least 8x8 are needed"),
    ("edit {pixel.png} --paint 0,0,8,#FFFFFF --out OUT.png", "the photo has 1x1 pixels: at least 8x8 are needed"),
    ("complete FRAME --mask {small.png} --out OUT", "is 10x10, the photo 64x64"),
    ("complete FRAME --mask {none.png} --out OUT", "no such mask file"),
    ("complete FRAME --mask {white.png} --out OUT", "the mask has no hole"),
    ("complete FRAME --mask chin --out OUT", "unknown mask 'chin': use eyes, nose, mouth"),
    ("complete FRAME --mask 5,5,5,9 --out OUT", "0 <= x0 < x1 <= 64"),
    ("complete FRAME --mask mouth --method gan --out OUT", "unknown method 'gan': use one of csi"),
    ("complete FRAME --mask mouth --set smirk=1 --out OUT", "unknown control of csi: 'smirk'; it has: smile, "),
    ("complete FRAME --mask mouth --set z0=99 --out OUT", "z0=99 is out of range: -3 to 3"),
    ("complete FRAME --mask mouth --set z0=nan --out OUT", "z0=nan is out of range"),
    ("complete FRAME --mask mouth --set z0=much --out OUT", "z0=much is not a number"),
    ("complete FRAME --mask mouth --set z0 --out OUT", "--set needs NAME=VALUE"),
    ("complete FRAME --mask mouth --samples 0 --out OUT", "--samples 0 is out of range: 1 to 64"),
    ("complete FRAME --mask mouth --seed -1 --out OUT", "--seed -1 is out of range"),
    ("complete FRAME --mask mouth --out {file}", "cannot write to"),
    ("complete {small.png} --aligned --mask mouth --out OUT", "--aligned needs a 64x64 frame, small.png is 10x10"),
    ("complete FRAME --out OUT", "required: --mask"),
    ("complete FRAME --mask mouth --face 3 --out OUT", "there is no face 3: "),
    ("complete FRAME --mask mouth --face 0 --out OUT", "there is no face 0: "),
    ("complete FRAME --mask mouth --place 1,2 --out OUT", "'1,2' is no place in a photo: need X,Y,SIZE"),
    ("complete FRAME --mask mouth --place 32,32,1 --out OUT", "a frame of 1 photo pixels is out of range"),
    ("complete FRAME --mask mouth --place 90,32,64 --out OUT", "has its centre outside the photo, which is 64x64"),
    ("complete FRAME --mask {dot.png} --place 10,10,16 --out OUT", "the hole reaches outside the square"),
    ("complete FRAME --mask mouth --aligned --face 1 --out OUT", "--aligned and --face exclude each other"),
    ("complete-many {none.png} --mask mouth --out OUT", "no such folder"),
    ("complete-many {empty} --mask mouth --out OUT", "no photos in"),
    ("complete-many {empty} --mask mouth --workers 0 --out OUT", "--workers 0 is out of range: 1 to 1024"),
    ("complete-many {folder} --mask chin --out OUT", "unknown mask 'chin'"),
    ("complete-many {folder} --mask mouth --set smirk=1 --out OUT", "unknown control of csi: 'smirk'"),
    ("complete-many {folder} --mask mouth --method vae --out {file}", "cannot write to"),
    ("publish --revision v1", "required: --repo-id"),
    ("evaluate-alignment --data {none.png} --json OUT", "no such file"),
    ("evaluate-alignment --data {text.png} --limit 0 --json OUT", "--limit 0 is out of range"),
    ("evaluate --data {none.png} --mask mouth --json OUT", "no such file"),
    ("evaluate --data {text.png} --mask mouth --json OUT", "is not a Parquet pack"),
    ("evaluate --data {text.png} --mask mouth --limit 0 --json OUT", "--limit 0 is out of range"),
    ("evaluate --data {text.png} --json OUT", "--mask is needed, or --controls in its place"),
    ("evaluate --controls --data {none.png} --json OUT", "no such file"),
    (
        "evaluate --controls --mask mouth --data {none.png} --json OUT",
        "--controls goes without what fills are drawn with",
    ),
    ("evaluate --set guidance=1 --record --mask mouth --data {none.png}", "--record is for the defaults"),
    ("discover --data {none.png} --json OUT", "no such file"),
    ("discover --data {text.png} --limit 1 --json OUT", "--limit 1 is out of range: 2 or more"),
    ("traverse FRAME --mask chin --out OUT", "unknown mask 'chin'"),
    ("traverse FRAME --mask mouth --controls smirk --out OUT", "unknown control of csi: 'smirk'"),
    ("traverse FRAME --mask mouth --grid z0 z0 --out OUT", "a grid needs two controls"),
    ("train csi --data {empty} --out OUT", "no train*.parquet in"),
    ("train gan --data {empty} --out OUT", "invalid choice: 'gan'"),
    ("train csi --data {empty} --out OUT --minutes 0", "--minutes 0 is out of range"),
    ("train csi --data {empty} --out OUT --set colour=1", "unknown setting 'colour'"),
    ("train csi --data {empty} --out OUT --set objective=gan", "do not make a model: objective 'gan'"),
    ("train csi --data {empty} --out OUT --set pictures=100,", "needs 4 numbers"),
    ("frobnicate", "invalid choice: 'frobnicate'"),
]


@pytest.mark.parametrize(("line", "said"), BAD, ids=[line for line, _ in BAD])
def test_bad_input_gets_one_line_status_2_and_writes_nothing(line, said, files, tmp_path, capsys):
    out = tmp_path / "out"
    words = line.replace("FRAME", FRAME).replace("OUT", str(out)).split()
    for name, path in files.items():
        words = [word.replace("{" + name + "}", path) for word in words]
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_missing_weights_end_in_one_line(tmp_path: Path):
    command = [sys.executable, "-m", "csi_demo", "complete", FRAME, "--mask", "mouth", "--out", str(tmp_path / "out")]
    ended = subprocess.run(command, env={"CSI_WEIGHTS_DIR": str(tmp_path)}, capture_output=True, text=True, cwd=ROOT)
    assert ended.returncode == 2
    assert "manifest.json is missing" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_public_names():
    import csi_demo

    assert csi_demo.available_methods() == ("csi", "dcgan", "vae", "vae-oneshot", "vae-attributes", "pixelcnn", "telea")
    assert {control.name for control in csi_demo.list_controls("csi")} >= {f"z{index}" for index in range(32)}
    photo = Image.open(FRAME).convert("RGB").resize((100, 90))
    mask = np.ones((90, 100), dtype=bool)
    mask[50:60, 40:60] = False
    finished = csi_demo.complete_photo(photo, mask, seeds=(1, 2))
    assert [picture.size for picture in finished] == [(100, 90)] * 2
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = csi_demo.nothing_such

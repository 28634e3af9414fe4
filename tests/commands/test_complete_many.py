"""`complete-many` with processes of this machine, with Ray on loopback, and the shipped weights."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_demo.cli import main

from ..server import ROOT

EXAMPLES = ROOT / "examples"
LOOPBACK = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",  # Ray's 15 starves on a busy machine
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "ab" * 32,  # else Ray makes one and keeps it in the home folder
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(ROOT),
}
PROGRESS = re.compile(r"csi_demo: \d+ of \d+, .* left\n")  # said after half a minute
FILL = ("--mask", "mouth", "--method", "vae", "--samples", "2", "--set", "iterations=2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two photos, a broken one, and a file that is none."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("astronaut.jpg", "face-1.png"):
        shutil.copyfile(EXAMPLES / name, photos / name)
    (photos / "broken.png").write_text("no picture")
    (photos / "notes.txt").write_text("no photo")
    return photos


@pytest.fixture
def cluster() -> Iterator[str]:
    """The address of a Ray cluster of one CPU."""
    pytest.importorskip("ray", reason="needs Ray, which requirements-dev.txt installs")
    script = (
        "import ray; print(ray.init('local', num_cpus=1, include_dashboard=False).address_info['address']); input()"
    )
    starting = [sys.executable, "-u", "-c", script]
    with subprocess.Popen(
        starting, env=os.environ | LOOPBACK, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate("\n")


def command(folder: Path, *words: str, fill: tuple[str, ...] = FILL) -> list[str]:
    """The command that fills a folder; the results lie beside the photos."""
    return [sys.executable, "-m", "csi_demo", "complete-many", str(folder), *fill, "--out", "out", *words]


def complete_many(folder: Path, *words: str, fill: tuple[str, ...] = FILL) -> subprocess.CompletedProcess[str]:
    """Starts the command from another folder than the repository's."""
    words = tuple(command(folder, *words, fill=fill))
    ended = subprocess.run(words, env=os.environ | LOOPBACK, cwd=folder.parent, capture_output=True, text=True)
    ended.stderr = PROGRESS.sub("", ended.stderr)
    return ended


def results(folder: Path) -> dict[str, tuple[bytes, ...]]:
    """Photo -> its samples."""
    out = folder.parent / "out"
    folders = [entry for entry in out.iterdir() if entry.is_dir()]
    return {one.name: tuple(file.read_bytes() for file in sorted(one.glob("sample-*.png"))) for one in folders}


@pytest.mark.slow
def test_a_folder_is_filled_as_single_photos_are_and_taken_up_again(folder: Path):
    out = folder.parent / "out"
    first = complete_many(folder, "--workers", "2")
    assert first.returncode == 1
    assert first.stderr == (
        "csi_demo: broken.png: the photo is not a picture that can be read: "
        "use a PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file\n"
    )
    assert first.stdout == "2 filled in, 0 done before, 1 failed, 1 skipped (1 no photos by their names)\n"
    assert {name: len(samples) for name, samples in results(folder).items()} == {"astronaut.jpg": 2, "face-1.png": 2}
    report = json.loads((out / "report.json").read_text())
    assert report["command"].startswith("python -m csi_demo complete-many")
    assert report["seconds"] > 0 < report["per_second"]
    assert {name: report[name] for name in ("filled", "done_before", "skipped")} == {
        "filled": 2,
        "done_before": 0,
        "skipped": {"no photos by their names": 1},
    }
    assert list(report["failed"]) == ["broken.png"]
    for name, samples in results(folder).items():
        alone = folder.parent / "alone" / name
        assert main(["complete", str(folder / name), *FILL, "--out", str(alone)]) == 0
        assert tuple(file.read_bytes() for file in sorted(alone.glob("sample-*.png"))) == samples
        many, single = (json.loads((where / name / "run.json").read_text()) for where in (out, alone.parent))
        for run in (many, single):
            assert run.pop("command").startswith("python -m csi_demo complete")
            run["info"].pop("seconds")
        assert many == single

    (folder / "broken.png").unlink()
    shutil.rmtree(out / "face-1.png")
    (out / ".csi-demo-unfinished-of-a-run-that-was-killed").mkdir()
    before = (out / "astronaut.jpg").stat()
    second = complete_many(folder)
    assert (second.returncode, second.stdout, second.stderr) == (
        0,
        "1 filled in, 1 done before, 0 failed, 1 skipped (1 no photos by their names)\n",
        "",
    )
    assert (out / "astronaut.jpg").stat() == before
    assert set(results(folder)) == {"astronaut.jpg", "face-1.png"}


@pytest.mark.slow
def test_what_was_made_otherwise_is_made_again_on_a_cluster(folder: Path, cluster: str):
    (folder / "broken.png").unlink()
    for name in ("astronaut.jpg", "face-1.png"):
        words = ("--seed", "5") if name == "face-1.png" else ()
        assert main(["complete", str(folder / name), *FILL, *words, "--out", str(folder.parent / "out" / name)]) == 0
    more = folder.parent / "out" / "astronaut.jpg"
    (more / "sample-2.png").write_text("of a run with more samples")
    (more / "sample-9.png").write_text("the user's own")
    run = json.loads((more / "run.json").read_text())
    (more / "run.json").write_text(json.dumps(run | {"seeds": [0, 1, 2]}))
    before = results(folder)
    ended = complete_many(folder, "--seed", "5", "--address", cluster)
    said = "1 filled in, 1 done before, 0 failed, 1 skipped (1 no photos by their names)\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
    after = results(folder)
    assert after["face-1.png"] == before["face-1.png"]
    assert (more / "sample-9.png").read_text() == "the user's own"
    (more / "sample-9.png").unlink()
    after = results(folder)
    assert len(after["astronaut.jpg"]) == 2
    assert after["astronaut.jpg"][0] != before["astronaut.jpg"][0]


def written(out: Path) -> dict[Path, tuple[int, int]]:
    """File -> what changes when it is written again."""
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in out.glob("*.png/*")}


@pytest.mark.slow
def test_two_hundred_frames_are_each_done_once_though_the_run_is_killed_half_way(tmp_path: Path):
    folder, out = tmp_path / "photos", tmp_path / "out"
    folder.mkdir()
    for number in range(200):
        noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((64, 64), Image.Resampling.BICUBIC).save(folder / f"{number:03}.png")
    fill = ("--mask", "mouth", "--aligned", "--method", "vae-oneshot", "--set", "iterations=1")
    with subprocess.Popen(
        command(folder, fill=fill), env=os.environ | LOOPBACK, cwd=tmp_path, start_new_session=True
    ) as killed:
        while len(list(out.glob("*/run.json"))) < 80:
            assert killed.poll() is None
            time.sleep(0.01)
        os.killpg(killed.pid, signal.SIGKILL)
    before = written(out)
    done = len(before) // 2
    assert 80 <= done < 200
    assert len(before) == 2 * done  # nothing of a result without the rest of it

    again = complete_many(folder, fill=fill)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"{200 - done} filled in, {done} done before, 0 failed, 0 skipped\n"
    assert sorted(entry.name for entry in out.iterdir()) == [*(f"{n:03}.png" for n in range(200)), "report.json"]
    assert before.items() <= written(out).items()
    for one in out.glob("*.png"):
        assert sorted(file.name for file in one.iterdir()) == ["run.json", "sample-0.png"]
        assert json.loads((one / "run.json").read_text())["seeds"] == [0]
        Image.open(one / "sample-0.png").load()
    assert complete_many(folder, fill=fill).stdout == "0 filled in, 200 done before, 0 failed, 0 skipped\n"


def test_a_fingerprint_tells_photos_masks_and_settings_apart(tmp_path: Path):
    hole = Image.new("L", (64, 64), 255)
    hole.paste(0, (20, 40, 40, 50))
    hole.save(tmp_path / "mask.png")
    photo = tmp_path / "photo.png"
    shutil.copyfile(EXAMPLES / "face-1.png", photo)

    def fingerprint(*words: str) -> str:
        settings = ("--mask", str(tmp_path / "mask.png"), "--method", "vae", "--set", "iterations=1")
        assert main(["complete", str(photo), *settings, *words, "--out", str(tmp_path / "out")]) == 0
        return json.loads((tmp_path / "out" / "run.json").read_text())["fingerprint"]

    first = fingerprint()
    assert fingerprint() == first
    found = {first, *(fingerprint(*words) for words in (["--seed", "1"], ["--aligned"], ["--set", "temperature=0.5"]))}
    hole.paste(0, (20, 40, 41, 50))
    hole.save(tmp_path / "mask.png")
    found.add(fingerprint())
    shutil.copyfile(EXAMPLES / "face-2.png", photo)
    assert len(found | {fingerprint()}) == 6


def test_a_table_has_methods_seeds_and_settings_of_each_photo(folder: Path):
    (folder / "broken.png").unlink()
    rows = [
        "photo,name,method,seed,samples,iterations,smile",
        ",plain,,,,,",
        "face-1.png,glad,vae-attributes,3,1,2,0.5",
    ]
    (folder.parent / "table.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(rows).encode())
    ended = complete_many(folder, "--table", "table.csv", "--workers", "1")
    said = "3 filled in, 0 done before, 0 failed, 1 skipped (1 no photos by their names)\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
    runs = {
        str(file.parent.relative_to(folder.parent / "out")): json.loads(file.read_text())
        for file in (folder.parent / "out").rglob("run.json")
    }
    assert set(runs) == {"astronaut.jpg/plain", "face-1.png/plain", "face-1.png/glad"}
    glad, plain = runs["face-1.png/glad"], runs["face-1.png/plain"]
    assert (glad["method"], glad["seeds"], glad["controls"]) == ("vae-attributes", [3], {"smile": 0.5})
    assert (plain["method"], plain["seeds"], plain["controls"]) == ("vae", [0, 1], {})


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", "has no rows"),
        ("method\nmagic", "row 1: unknown method 'magic'"),
        ("seed\n1.5", "row 1: seed '1.5' is not a whole number"),
        ("smirk\n1", "row 1: unknown control of vae: 'smirk'"),
        ("name\n../../away", "row 1: '../../away' cannot be the name of a folder"),
        ("name\na\na", "row 2: a second row of the name 'a'"),
        ("photo\nnobody.png", "no photo nobody.png in"),
    ],
)
def test_a_table_that_means_nothing_is_named(folder: Path, rows: str, said: str, capsys):
    table = folder.parent / "table.csv"
    table.write_text(rows)
    out = folder.parent / "out"
    assert main(["complete-many", str(folder), *FILL, "--table", str(table), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_folder_of_photos_does_not_take_their_fills(folder: Path, capsys):
    before = sorted(folder.rglob("*"))
    assert main(["complete-many", str(folder), *FILL, "--out", str(folder / "..") + "/photos"]) == 2
    assert "is the folder of photos itself" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.slow
def test_a_process_that_is_ended_costs_no_photo_and_none_outlives_the_command(folder: Path):
    (folder / "broken.png").unlink()
    fill = ("--mask", "mouth", "--method", "dcgan", "--set", "steps=150")
    with subprocess.Popen(
        command(folder, "--workers", "1", fill=fill),
        env=os.environ | LOOPBACK,
        cwd=folder.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as many:
        workers = wait_for_workers(many)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        out, said = many.communicate(timeout=240)
    assert out.startswith("2 filled in, 0 done before, 0 failed")
    assert (many.returncode, PROGRESS.sub("", said)) == (0, "")

    shutil.rmtree(folder.parent / "out")
    with subprocess.Popen(
        command(folder, "--workers", "1", fill=fill), env=os.environ | LOOPBACK, cwd=folder.parent
    ) as many:
        (worker,) = wait_for_workers(many)
        many.kill()
    deadline = time.monotonic() + 30
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not is_alive(worker)


def wait_for_workers(many: subprocess.Popen) -> list[int]:
    """The processes that load or fill beside the command's own."""
    while many.poll() is None:
        children = Path(f"/proc/{many.pid}/task/{many.pid}/children").read_text().split()
        found = [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"the command ended with status {many.returncode}")


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_address_at_which_nothing_listens_is_said_in_one_line(folder: Path):
    ended = complete_many(folder, "--address", "127.0.0.1:1")
    assert ended.returncode == 2
    assert ended.stderr == "csi_demo: no Ray at 127.0.0.1:1: [Errno 111] Connection refused\n"
    assert [entry.name for entry in (folder.parent / "out").iterdir()] == ["report.json"]

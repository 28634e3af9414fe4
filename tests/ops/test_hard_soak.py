"""Two replicas behind nginx that life is made hard for, for a few seconds."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest

from csi_demo.cli import main
from csi_demo.errors import SoakError
from csi_demo.ops import hard_soak, replicas
from csi_demo.ops.hard_soak import HardGuests, SmallDisk, Story

FIRST, SECOND = "127.0.0.1:1", "127.0.0.1:2"


def has_nginx() -> bool:
    try:
        return bool(replicas.nginx_program())
    except SoakError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(not has_nginx(), reason="needs nginx: apt-get install nginx, or your system's own")
def test_nothing_is_lost_but_the_work_of_the_stopped_replica(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "soak.json"
    status = main(["soak", "--hard", "--minutes", "0.3", "--visitors", "3", "--json", str(file)])
    said, figures = capsys.readouterr().out, json.loads(file.read_text())
    assert status == 0, said
    assert figures["errors"]["page"] == {}
    assert figures["stop"]["status"] == 0
    assert figures["stop"]["seconds"] <= hard_soak.SECONDS_TO_END
    assert figures["uploads_cut"] >= 1
    assert min(figures["answers"].values()) > 0
    assert figures["files"]["after_the_end"] == figures["tracebacks"] == 0
    assert {"first", "second, before", "second, again"} == figures["memory_mb"].keys()
    if figures["left_out"]:  # who may not mount is told
        assert "left out: the full disk, since none could be mounted" in said
    else:
        assert figures["full_disk"]["mb"] == hard_soak.SMALL
        assert figures["full_disk"]["status"] == 507
        assert figures["full_disk"]["fills"] >= 1
    assert said.endswith("nothing else was lost\n")


@pytest.mark.parametrize(
    ("message", "words"),
    {
        "--hard starts what it soaks: --url, --pid and --files go without it": ["--url", "http://127.0.0.1:1/"],
        "/none: No such file or directory": ["--small-disk", "{tmp}/none"],
        "which is not filled up: at most 1024": ["--small-disk", "/"],
        "--visitors from 1 to 1000": ["--visitors", "0"],
    }.items(),
)
def test_a_hard_soak_that_cannot_be_is_one_line(
    message: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(hard_soak, "nginx_program", lambda: "nginx")
    assert main(["soak", "--hard", *(word.format(tmp=tmp_path) for word in words)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_without_nginx_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = replicas.shutil.which
    monkeypatch.setattr(replicas.shutil, "which", lambda name, path=None: real(name, path=str(tmp_path)))
    assert main(["soak", "--hard"]) == 2
    said = capsys.readouterr().err
    assert "this needs nginx: apt-get install nginx" in said
    assert said.count("\n") == 1


def test_a_small_disk_belongs_to_a_hard_soak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["soak", "--small-disk", str(tmp_path)]) == 2
    assert "--small-disk goes with --hard alone" in capsys.readouterr().err


# Who is to blame


def answered(status: int, *asked: str) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1/")
    response = httpx.Response(status, headers={replicas.REPLICA: ", ".join(asked)}, request=request)
    return httpx.HTTPStatusError("", request=request, response=response)


@pytest.mark.parametrize(
    ("error", "changes", "blamed"),
    [
        (answered(507, FIRST), {"full": -5}, "full"),
        (answered(507, FIRST), {}, "page"),  # the disk was never filled
        (answered(507, FIRST), {"full": -50, "empty": -20}, "page"),  # it has room again
        (answered(507, SECOND), {"full": -5}, "page"),  # another disk
        (answered(500, FIRST), {"full": -5}, "page"),
        (answered(502, SECOND), {"stopped": -5}, "stopped"),
        (answered(502, SECOND, FIRST), {"stopped": -20, "back": -10}, "stopped"),  # asked first, then the other
        (answered(502, SECOND), {}, "page"),  # before it was stopped
        (answered(502, FIRST), {"stopped": -5}, "page"),  # the other one
        (answered(502, SECOND), {"stopped": -900, "back": -880}, "page"),  # long ago
    ],
)
def test_an_error_is_laid_to_what_was_done_and_to_nothing_else(
    error: httpx.HTTPStatusError, changes: dict[str, float], blamed: str
) -> None:
    now = time.monotonic()
    story = Story(FIRST, SECOND, **{name: now + seconds for name, seconds in changes.items()})
    guests = HardGuests("http://127.0.0.1:9/", story)
    guests.came = now - 1.0
    guests._note(error.response)
    assert guests.blame(error) == blamed


WELL: dict[str, Any] = {
    "visitors": 20,
    "minutes": 8.0,
    "requests": 100,
    "left_half_way": 3,
    "busy": 0,
    "seconds": {},
    "stop": {"status": 0, "seconds": 1.5, "back": 20.0},
    "full_disk": {"mb": 64, "seconds": 40.0, "status": 507, "fills": 7},
    "uploads_cut": 9,
    "answers": {"first": 60, "second": 40},
    "errors": {"stopped": {"fill: 502 Bad Gateway": 2}, "full": {"upload: 507 Insufficient Storage": 4}, "page": {}},
    "memory_mb": {"first": {"before": 500, "warm": 900, "late": 909, "highest": 950}},
    "files": {"left": 9, "overdue": 0, "after_the_end": 0},
    "ends": [{"status": 0, "seconds": 1.0}, {"status": 0, "seconds": 1.0}],
    "tracebacks": 0,
    "left_out": [],
}


def test_the_report_says_what_was_met_and_that_nothing_else_was_lost() -> None:
    said = hard_soak.report(WELL)
    for part in (
        "laid to the stopped replica, 2 times: fill: 502 Bad Gateway",
        "refused for want of room, 4 times: upload: 507",
        "SIGTERM, status 0 after 1.5 s, back 20.0 s later",
        "disk of 64 MB full for 40.0 s",
        "memory of the first: 500 MB before, 900 warm, 909 late (+1.0 %)",
        "files left: 9, of them overdue 0; after the end 0",
    ):
        assert part in said
    assert said.endswith("\nnothing else was lost")
    assert "left out: the full disk" in hard_soak.report(WELL | {"left_out": ["the full disk, since"]})


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("errors", "page", {"fill: 500 Internal Server Error": 1}, "lost, 1 times: fill: 500"),
        ("stop", "status", -15, "a replica ended with status -15"),
        ("stop", "seconds", 5.2, "after 5.2 s: 0 within 5 s is right"),
        ("full_disk", "status", 500, "an upload to a full disk: status 500"),
        ("full_disk", "fills", 0, "no fill of a photo that was there before"),
        ("files", "overdue", 1, "1 files lie there for too long"),
        ("files", "after_the_end", 2, "2 files outlived the replicas"),
    ],
)
def test_what_else_is_lost_is_named(part: str, name: str, value: Any, message: str) -> None:
    figures = deepcopy(WELL)
    figures[part][name] = value
    (line,) = hard_soak.lost(figures)
    assert message in line
    assert line in hard_soak.report(figures)
    assert hard_soak.lost(WELL) == []
    assert hard_soak.lost(WELL | {"tracebacks": 3}) == ["3 tracebacks in the logs"]


@pytest.mark.slow
def test_a_small_disk_is_filled_by_one_file_and_emptied_of_that_alone(tmp_path: Path) -> None:
    with hard_soak._mounted(tmp_path) as trouble:
        if trouble:
            pytest.skip(f"needs the rights to mount: {trouble}")
        (tmp_path / "thesis.txt").write_text("mine")
        disk = SmallDisk(tmp_path)
        disk.fill()
        with pytest.raises(OSError, match="No space left"), (tmp_path / "more").open("wb", buffering=0) as file:
            file.write(b"x" * 5000)
        disk.fill()
        disk.empty()
        (tmp_path / "more").write_bytes(b"x" * 5000)
        assert (tmp_path / "thesis.txt").read_text() == "mine"
        assert sorted(file.name for file in tmp_path.iterdir()) == ["more", "thesis.txt"]
    assert list(tmp_path.iterdir()) == []

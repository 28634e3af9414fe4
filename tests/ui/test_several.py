"""Several photos at once: what is taken, filled and packed, by a method without weights."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from zipfile import ZipFile

import pytest
from PIL import Image

from csi_demo.photo.placement import Placement
from csi_demo.ui import results, several
from csi_demo.ui.panels import several as panel
from csi_demo.ui.photo import KEPT

from ..visitor import PlainMethod, noise


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def sent(folder: Path, *contents: bytes) -> str:
    """What the page says of files that it has sent, all of one name."""
    files = []
    for index, content in enumerate(contents):
        file = folder / f"{index}" / "photo"
        file.parent.mkdir()
        file.write_bytes(content)
        files.append({"path": str(file), "name": "face.png"})
    return json.dumps({"several": files})


def a_png(size: int = 64, seed: int = 0) -> bytes:
    stored = io.BytesIO()
    noise(size, size).rotate(90 * seed).save(stored, "PNG")
    return stored.getvalue()


def run(key: str, hole: str = "mouth") -> list[str]:
    values = ("plain", None, "Crisp", results.IN_PHOTO, True, None, 5, 1)
    return [update["filled"] for update in panel.fill(key, hole, "PNG", *values)]


def test_each_photo_is_filled_and_all_comes_in_one_file(method: PlainMethod, uploads: Path) -> None:
    key = panel.take(sent(uploads, a_png(), a_png(seed=1), b"no picture"), None)["several"]
    assert list(uploads.rglob("photo")) == []  # what was sent is in memory alone
    views = run(key)
    assert "Photo 1 of 3" in views[0]
    assert [view.count("<figure") for view in views] == [0, 1, 2, 2]
    assert "2 of 3 photos are filled" in views[-1]
    assert "face-3: " in views[-1]
    with ZipFile(panel.save(key)["file"]) as packed:
        rows = list(csv.DictReader(io.StringIO(packed.read("figures.csv").decode())))
        assert [row["file"] for row in rows] == ["face.png", "face-2.png"]
        for row in rows:
            assert Image.open(io.BytesIO(packed.read(row["file"]))).size == (64, 64)
            assert float(row["psnr"]) > 0
        assert json.loads(packed.read("settings.json"))["left out"][0].startswith("face-3: ")
        assert {"face-mask.png", "face-2-mask.png", "strip.png"} <= set(packed.namelist())


def test_a_photo_without_a_face_is_left_out(method: PlainMethod, uploads: Path, faces: list[Placement]) -> None:
    key = panel.take(sent(uploads, a_png(96)), None)["several"]
    assert "face: no face was found" in run(key)[-1]
    assert "fill the photos again" in panel.save(key)["filled"]


def test_a_stop_leaves_what_is_done(method: PlainMethod, uploads: Path) -> None:
    key = panel.take(sent(uploads, a_png(), a_png(seed=1)), None)["several"]
    values = ("plain", None, "Crisp", results.IN_PHOTO, True, None, 5, 1)
    updates = panel.fill(key, "eyes", "PNG", *values)
    works = {name: next(updates)[name]["interactive"] for name in ("fill", "stop")}
    assert works == {"fill": False, "stop": True}
    panel.stop(key)
    last = list(updates)[-1]
    assert "1 of 2 photos are filled" in last["filled"]
    assert (last["zip"]["interactive"], last["stop"]["interactive"]) == (True, False)
    with ZipFile(panel.save(key)["file"]) as packed:
        assert "face.png" in packed.namelist()


def test_too_much_is_refused_in_words(uploads: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "At most 12 photos" in panel.take(sent(uploads, *[b"x"] * 13), None)["filled"]
    monkeypatch.setattr(several, "MOST_BYTES", 3)
    (uploads / "more").mkdir()
    assert "choose fewer" in panel.take(sent(uploads / "more", b"xx", b"xx"), None)["filled"]
    for wrong in ('{"several": [3]}', '{"several": {}}', "[]", '{"several": [{"path": "/etc/passwd"}]}'):
        assert "alert" in panel.take(wrong, None)["filled"]
    assert "no longer here" in run("nothing")[-1]


def test_photos_take_the_place_of_those_before(uploads: Path) -> None:
    first = panel.take(sent(uploads, a_png()), None)["several"]
    (uploads / "more").mkdir()
    second = panel.take(sent(uploads / "more", a_png()), first)["several"]
    assert KEPT.get(first) is None
    assert KEPT.get(second) is not None

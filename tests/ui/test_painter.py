"""The painter's JSON contract, as the server keeps it: holes and uploads. Without a browser and without weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_demo.ui import filling, painter, results
from csi_demo.ui.inputs import PageInputs
from csi_demo.ui.panels.hood import show_masked
from csi_demo.ui.panels.steer import draw_sliders
from csi_demo.ui.panels.subject import take_upload

from ..visitor import PlainMethod, a_photo, file_of, noise, painting, run_fill

pytestmark = pytest.mark.usefixtures("faces")


def sent_to_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes) -> Path:
    """An upload as it lies in gradio's folder."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    file = tmp_path / "abc" / "photo-1-2-3"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(data)
    return file


def take(file: Path) -> dict[str, Any]:
    """What the painter is told about an upload."""
    return json.loads(take_upload(json.dumps({"upload": str(file)}))["painter"])


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is this large and has no pixels."""
    data = bytearray(file_of(Image.new("1", (1, 1))))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


def test_runs_and_masks_are_inverse() -> None:
    rng = np.random.default_rng(0)
    for mask in (rng.random((7, 5)) < 0.5, np.ones((7, 5), bool), np.zeros((7, 5), bool)):
        runs = painter.to_runs(mask)
        assert np.array_equal(painter.to_mask({"size": [5, 7], "runs": runs}, (5, 7)), mask)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": [63, 64]}, "another size"),
        ({"size": None}, "another size"),
        ({"runs": None}, "cannot be read"),
        ({"runs": [4095]}, "cannot be read"),
        ({"runs": [4097, -1]}, "cannot be read"),
        ({"runs": [4096.0]}, "cannot be read"),
        ({"runs": [True] * 4096}, "cannot be read"),
        ({"runs": ["4096"]}, "cannot be read"),
        ({"runs": [4096]}, "no hole yet"),
        ({"photo": "another"}, "no longer here"),
        ({"photo": None}, "no longer here"),
        ({"photo": ["x"]}, "no longer here"),
    ],
)
def test_what_the_painter_sends_is_checked(method: PlainMethod, changes: dict[str, Any], message: str) -> None:
    assert message in run_fill(what=painting(a_photo(), **changes))[-1]["status"]
    assert method.calls == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "cannot be read"),
        ("[1]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        (7, "cannot be read"),
        ({"photo": 1}, "cannot be read"),
        (None, "Choose a photo first"),
        (" " * (painter.MAX_LENGTH + 1), "too many small parts"),
    ],
)
def test_malformed_and_long_json_is_refused(method: PlainMethod, value: Any, message: str) -> None:
    updates = list(filling.fill(PageInputs.of("plain", value, "Crisp", results.IN_PHOTO, True, None, 0, 1)))
    assert message in updates[-1]["status"]
    assert message in show_masked(value, "Smooth")["masked"]
    assert draw_sliders("plain", value) == {}


def test_a_hole_is_cut_to_the_frame(method: PlainMethod) -> None:
    shown = a_photo(file_of(noise(300, 200)))  # the frame: the middle 200x200
    hole = np.ones((200, 300), dtype=bool)
    hole[50:90, :100] = False
    status = run_fill(what=painting(shown, hole))[-1]["status"]
    assert "outside the square is left" in status
    cut, much = shown.cut(hole)
    assert much
    assert cut[:, :50].all()
    assert not cut[50:90, 50:100].any()
    outside = np.ones((200, 300), dtype=bool)
    outside[:, :50] = False
    assert "outside the square" in run_fill(what=painting(shown, outside))[-1]["status"]


def test_a_stroke_over_everything_is_a_hole_like_any_other(method: PlainMethod) -> None:
    assert "2 fills to choose from" in run_fill(what=painting(a_photo(), np.zeros((64, 64), dtype=bool)))[-1]["status"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"no picture", "not a picture that can be read"),
        (b"", "not a picture that can be read"),
        (file_of(noise(200, 200), "JPEG")[:4000], "This file is cut off: the file ends"),
        (file_of(noise(1, 1)), "1x1 pixels: at least 16x16"),
        (file_of(noise(20, 5000)), "20x5000 pixels: it is too narrow to be painted on"),
        (file_of(noise(5000, 20)), "5000x20 pixels: it is too narrow to be painted on"),
        (file_of(noise(5000, 24)), "5000x24 pixels: it is too narrow to be painted on"),
        (png_header(20_000, 20_000), "40 megapixels at most"),
        (bytes(130 * 2**20), "larger than 128 MB"),
    ],
    ids=["text", "empty", "truncated", "1x1", "20x5000", "5000x20", "5000x24", "20000x20000", "130 MB"],
)
def test_bad_uploads_are_explained_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, message: str
) -> None:
    told = take(sent_to_cache(tmp_path, monkeypatch, data))
    assert message in told["trouble"]
    assert str(tmp_path) not in told["trouble"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("picture", "kind", "options"),
    [
        (noise(40, 30).convert("CMYK"), "JPEG", {}),
        (noise(40, 30).convert("P"), "PNG", {}),
        (Image.fromarray(np.full((30, 40), 30_000, dtype=np.uint16)), "PNG", {}),
        (noise(40, 30), "WEBP", {"save_all": True, "append_images": [noise(40, 30)]}),
        (noise(40, 30).convert("RGBA"), "WEBP", {}),
    ],
    ids=["CMYK", "palette", "16-bit", "animated", "alpha"],
)
def test_unusual_pictures_are_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: Image.Image, kind: str, options: dict[str, Any]
) -> None:
    told = take(sent_to_cache(tmp_path, monkeypatch, file_of(picture, kind, **options)))
    assert told["size"] == [40, 30]
    assert told["view"].startswith("data:image/")
    assert "No face was found" in told["note"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(26, 5000), (5000, 26), (16, 16)])
def test_photos_that_are_just_wide_enough_can_be_painted_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    told = take(sent_to_cache(tmp_path, monkeypatch, file_of(noise(*size))))
    assert min(told["size"]) >= 8
    assert told["presets"]


@pytest.mark.parametrize("path", ["/etc/hostname", "abc/../../x", "", None, 7, "a\0b"])
def test_only_uploads_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    told = json.loads(take_upload(json.dumps({"upload": path}))["painter"])
    assert "did not arrive" in told["trouble"]

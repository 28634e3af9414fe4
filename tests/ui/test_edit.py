"""Sessions of the photo editor as the page keeps them, with a small network of random weights and without a browser."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
from typing import Any

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo.editing import Stroke, editor
from csi_demo.editing.strokes import draw, from_json
from csi_demo.models.ian import IAN, IANConfig
from csi_demo.photo.reading import open_photo
from csi_demo.ui import editing, photo
from csi_demo.ui.examples import FOLDER
from csi_demo.ui.panels import edit
from csi_demo.ui.panels.edit import carry, choose_edit, move, open_edit, save, take_photo
from csi_demo.ui.photo import KEPT, Photo
from csi_demo.ui.server.keep import Keep

from ..editing.conftest import TINY
from ..visitor import a_photo, file_of, noise, painting

PAINT = {"act": "paint", "points": [[30, 30], [32, 30]], "size": 8, "colour": "#102030", "stroke": 1, "live": True}


@pytest.fixture(autouse=True)
def network(faces: Any, monkeypatch: pytest.MonkeyPatch) -> IAN:
    torch.manual_seed(0)
    small = IAN(IANConfig(latent_dim=8, head_hidden=12, **TINY)).eval().requires_grad_(False)
    monkeypatch.setattr(editor, "load_network", lambda: small)
    return small


@pytest.fixture
def shown() -> Photo:
    return a_photo()


@pytest.fixture
def key(shown: Photo) -> str:
    """Of a session on the photo."""
    return open_edit(painting(shown), None)["session"]


def told(update: dict[str, Any]) -> dict[str, Any]:
    return json.loads(update["editor"])


def does(key: str, message: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What the browser is told after a message."""
    return json.loads(editing.act(json.dumps(message | {"session": key, "reply": 7} | changes)))


def square(said: dict[str, Any]) -> np.ndarray:
    with Image.open(io.BytesIO(base64.b64decode(said["square"].partition(",")[2]))) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_session_starts_with_the_photo_as_it_is(shown: Photo) -> None:
    said = told(open_edit(painting(shown), None))
    assert said["opened"]
    assert said["size"] == [64, 64]
    assert said["box"] == [0, 0, 64, 64]
    assert np.array_equal(square(said), np.asarray(shown.view))
    assert not (said["undoable"])
    assert not (said["redoable"])
    assert not (said["edited"])
    assert set(said["hood"]) == {"frame", "reconstruction", "edited", "mask"}


def test_the_same_photo_goes_on_and_another_one_does_not(shown: Photo, key: str) -> None:
    does(key, PAINT)
    again = open_edit(painting(shown), key)
    assert "session" not in again
    assert told(again)["edited"]
    other = open_edit(painting(a_photo()), key)
    assert other["session"] != key
    assert not told(other)["edited"]
    assert KEPT.get(key) is None


def test_a_stroke_of_the_page_is_that_of_python_to_the_bit(shown: Photo, key: str) -> None:
    first = does(key, PAINT)
    assert first["reply"] == 7
    assert first["edited"]
    assert first["undoable"]
    assert "hood" not in first
    assert "view" not in first
    last = does(key, PAINT | {"live": False, "hood": True})
    assert set(last["hood"]) == {"frame", "reconstruction", "edited", "mask"}
    python = editor.Editor(shown.full(), shown.place)
    draw(python, [Stroke(((30, 30), (32, 30)) * 2, 8, "#102030")])
    assert np.array_equal(square(last), np.asarray(python.photo))
    assert not np.array_equal(square(last), np.asarray(shown.view))


def test_moves_of_a_stroke_are_undone_together(shown: Photo, key: str) -> None:
    does(key, PAINT)
    painted = does(key, PAINT)
    before = does(key, {"act": "undo"})
    assert np.array_equal(square(before), np.asarray(shown.view))
    assert not before["undoable"]
    assert before["redoable"]
    assert np.array_equal(square(does(key, {"act": "redo"})), square(painted))


def test_strokes_and_undos_leave_no_pictures_in_memory(key: str) -> None:
    def pictures() -> int:
        gc.collect()
        tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor]
        return sum(one.numel() for one in tensors if one.numel() >= 64 * 64)

    def strokes(first: int, last: int) -> None:
        for number in range(first, last):
            for shift in range(2):
                does(key, PAINT | {"stroke": number, "points": [[20 + (number + shift) % 24, 30]]})
            does(key, {"act": "look"})

    strokes(0, 5)
    few = pictures()
    strokes(5, 24)
    for _ in range(12):
        does(key, {"act": "undo"})
    assert pictures() <= few
    assert len(KEPT.get(key).editor._history) == 25  # of 8 latents each


def test_what_is_kept_is_what_the_next_stroke_starts_from(key: str) -> None:
    painted = does(key, PAINT)
    kept = does(key, {"act": "commit"})
    assert "view" in kept
    assert not kept["edited"]
    assert np.array_equal(square(kept), square(painted))
    reset = does(key, PAINT | {"stroke": 2}) and does(key, {"act": "reset"})
    assert np.array_equal(square(reset), square(painted))


def test_the_wheel_lightens_and_darkens(key: str) -> None:
    light = {"act": "light", "points": [[30, 30]], "size": 8, "steps": 1, "stroke": 1}
    assert does(key, light)["edited"]
    assert does(key, light | {"steps": -1, "stroke": 2})["undoable"]


def test_a_sample_and_a_raw_latent(key: str) -> None:
    first = square(does(key, {"act": "sample", "seed": 3}))
    assert np.array_equal(square(does(key, {"act": "sample", "seed": 3})), first)
    assert not np.array_equal(square(does(key, {"act": "set", "name": "z0", "value": 2.0})), first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points": [[500, 30]]}, "outside the square"),
        ({"points": [[30, 30]] * 51}, "Too many moves"),
        ({"points": [[30, float("nan")]]}, "no number"),
        ({"points": [[30, "x"]]}, "no number"),
        ({"points": [30]}, "no point"),
        ({"points": []}, "list of [x, y]"),
        ({"points": None}, "list of [x, y]"),
        ({"colour": "red"}, "no colour"),
        ({"colour": None}, "no colour"),
        ({"size": 0}, "out of range"),
        ({"size": -3}, "out of range"),
        ({"size": 1e9}, "out of range"),
        ({"size": None}, "no number"),
        ({"act": "set", "name": "z0", "value": float("nan")}, "from -5 to 5"),
        ({"act": "set", "name": "z0", "value": 99}, "from -5 to 5"),
        ({"act": "set", "name": "z999", "value": 1}, "There is no latent"),
        ({"act": "set", "name": "charm", "value": 1}, "Unknown latent"),
        ({"act": "set", "name": None, "value": 1}, "cannot be read"),
        ({"act": "set", "name": "z0", "value": "x"}, "from -5 to 5"),
        ({"act": "sample", "seed": -1}, "Seed -1"),
        ({"act": "light", "steps": 0}, "changes nothing"),
        ({"act": "light", "steps": 10**6}, "whole number"),
        ({"act": "dance"}, "cannot be read"),
        ({"act": None}, "cannot be read"),
    ],
)
def test_bad_messages_are_one_line_and_the_last_picture_stays(key: str, changes: dict[str, Any], message: str) -> None:
    before = square(does(key, PAINT))
    said = does(key, PAINT | {"stroke": 2} | changes)
    assert message in said["trouble"]
    assert "\n" not in said["trouble"]
    assert np.array_equal(square(said), before)


def test_the_page_asks_past_the_queue_and_is_told_when_too_many_do(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = json.dumps(PAINT | {"session": key, "reply": 7})
    assert json.loads(asyncio.run(move(message)))["edited"]
    monkeypatch.setattr(edit, "MOST_WAITING", 0)
    said = json.loads(asyncio.run(move(message)))
    assert said["trouble"] == edit.BUSY


@pytest.mark.parametrize("value", [None, 3, "{", "[1]", "null", "x" * 3_000_000, '{"session": ["x"]}'])
def test_what_is_no_message_is_one_line(value: Any) -> None:
    said = json.loads(editing.act(value))
    assert set(said) == {"trouble", "reply"}
    assert said["trouble"]


def test_an_expired_session_says_so(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    KEPT.drop(key)
    assert "no longer here" in does(key, PAINT)["trouble"]
    assert "no longer here" in told(save(key))["trouble"]
    assert "no longer here" in told(carry(key))["trouble"]


def test_sessions_are_bounded(shown: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    few = Keep(seconds=60, limit=4 * editing.AT_WORK)
    monkeypatch.setattr(editing, "KEPT", few)
    keys = []
    for _ in range(8):
        keys.append(editing.opened(shown).key)
        does(keys[-1], PAINT)
    alive = [number for number in keys if few.get(number) is not None]
    assert 1 <= len(alive) < 5
    assert alive[-1] == keys[-1]
    does(keys[-1], {"act": "look"})
    assert few.get(keys[-1]).editor._drawing._drawn is None  # at rest it holds no way back


def test_a_photo_that_was_dropped_is_told(shown: Photo) -> None:
    KEPT.drop(shown.key)
    assert told(open_edit(painting(shown), None))["trouble"] == photo.GONE


def test_an_upload_opens_in_both_tabs(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    file = tmp_path / "abc" / "photo-1-2-3"
    file.parent.mkdir()
    file.write_bytes(file_of(noise(200, 150)))
    update = take_photo(json.dumps({"upload": str(file)}), None)
    assert json.loads(update["painter"])["size"] == [200, 150] == told(update)["size"]
    assert "No face was found" in told(update)["note"]
    file.parent.mkdir()
    file.write_bytes(b"no picture")
    assert "not a picture" in told(take_photo(json.dumps({"upload": str(file)}), None))["trouble"]


def test_the_edited_photo_goes_to_the_other_tab(shown: Photo, key: str) -> None:
    assert set(carry(key)) == {"tabs"}  # nothing is edited yet
    painted = does(key, PAINT)
    update = carry(key)
    there = photo.kept(json.loads(update["painter"])["photo"])
    assert there.key != shown.key
    assert np.array_equal(np.asarray(there.view), square(painted))


def test_a_download_is_the_photo_at_its_own_size(key: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    painted = does(key, PAINT)
    with Image.open(save(key)["file"]) as picture:
        assert np.array_equal(np.asarray(picture), square(painted))


def test_an_example_opens_with_its_strokes_drawn() -> None:
    for index, ready in enumerate(editing.ready_edits()):
        assert editing.thumbnail(ready).size == (96, 96)
        update = choose_edit(None, gr.EventData(None, {"index": index}))
        said = told(update)
        assert said["edited"]
        assert ready.title in said["note"]
        python = editor.Editor(open_photo(FOLDER / ready.photo), editing.kept_session(update["session"]).photo.place)
        draw(python, from_json(list(ready.strokes)))
        assert np.array_equal(square(said), np.asarray(python.photo))
    assert choose_edit(None, gr.EventData(None, {"index": 99})) == {}

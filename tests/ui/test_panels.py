"""The handlers of the page's panels, without a browser and without weights."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import pytest
from gradio.components.base import FormComponent
from gradio.state_holder import SessionState
from PIL import Image

from csi_demo import masks
from csi_demo.errors import ControlError, PageError
from csi_demo.methods import Method
from csi_demo.methods.csi import CSIMethod
from csi_demo.methods.csi.controls import from_measured, load_measured
from csi_demo.photo import sheets
from csi_demo.photo.placement import Placement
from csi_demo.pixels import png
from csi_demo.ui import engine, filling, painter, photo, render, results, subject
from csi_demo.ui.blocks import build, launch_options
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS, SLOT_IDS
from csi_demo.ui.examples import FOLDER, all_examples
from csi_demo.ui.panels import steer
from csi_demo.ui.panels.shown import use_result
from csi_demo.ui.panels.subject import choose_face, click_face, drag_square, open_example, place_by_hand
from csi_demo.ui.server.keep import Keep

from ..visitor import FRAME_FILE, GLASSES, SMILE, SPREAD, PlainMethod, a_photo, file_of, noise, painting, run_fill

pytestmark = pytest.mark.usefixtures("faces")


def test_examples_name_files_holes_and_sliders() -> None:
    known = {one.name: one for one in (*CSIMethod.options, *from_measured(load_measured(), 64).controls)}
    for example in all_examples():
        assert (FOLDER / example.photo).is_file()
        assert not masks.family(example.hole).all()
        assert example.thumbnail().size == (96, 96)
        assert example.title
        for name, value in example.settings.items():
            assert known[name].minimum <= value <= known[name].maximum
    with Image.open(FRAME_FILE) as picture:
        assert (picture.size, picture.mode) == ((64, 64), "RGB")
    assert (FOLDER / "astronaut.jpg").stat().st_size < 60_000
    assert len(all_examples()) >= 6
    assert len({(example.photo, example.hole) for example in all_examples()}) == len(all_examples())
    files = {"astronaut.jpg", "astronaut.png", "examples.json", "edits.json", "README.md", "stills"}
    assert files | {one.photo for one in all_examples()} == {file.name for file in FOLDER.iterdir()}


def test_an_example_opens_with_its_hole_and_settings() -> None:
    example = all_examples()[0]
    opened = open_example(example)
    content = json.loads(opened["painter"])
    shown = photo.kept(content["photo"])
    mask = painter.to_mask(content, shown.view.size)
    assert np.array_equal(mask, shown.preset(example.hole))
    assert (opened["seed"], opened["samples"]) == (example.seed, example.samples)
    assert json.loads(open_example(example)["painter"])["photo"] != content["photo"]


def test_orientation_is_applied_and_a_result_has_no_metadata(method: PlainMethod) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "at home"
    shown = a_photo(file_of(noise(40, 30), "PNG", exif=exif))
    assert shown.size == (30, 40)
    key = run_fill(what=painting(shown))[-1]["result"]
    assert not Image.open(io.BytesIO(png(results.finished_result(key).full(True)))).getexif()


def test_a_large_photo_comes_back_at_its_size_with_its_own_pixels(method: PlainMethod, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    picture = noise(2400, 1500)
    shown = a_photo(file_of(picture))
    assert shown.view.size == (1600, 1000)
    key = run_fill(what=painting(shown))[-1]["result"]
    with Image.open(results.save(key, True, "PNG")["file"]) as saved:
        before, after = np.asarray(picture), np.asarray(saved)
    changed = (before != after).any(-1)
    hole = ~shown.at_full_size(shown.subject(shown.preset("mouth"))).mask
    assert before.shape == after.shape
    assert not (changed & ~hole).any()
    assert changed.sum() > 0.9 * hole.sum()


def test_a_result_becomes_the_photo(method: PlainMethod) -> None:
    shown = a_photo(file_of(noise(300, 200)))
    key = run_fill(what=painting(shown))[-1]["result"]
    results.choose_sample(key, "Smooth", results.IN_PHOTO, True, gr.EventData(None, {"index": 1}))
    result = results.finished_result(key)
    assert result.chosen == 1
    used = use_result(key, True)
    chained = photo.kept(json.loads(used["painter"])["photo"])
    assert "the photo now" in used["status"]
    assert chained.place == shown.place
    assert np.array_equal(np.asarray(chained.full()), np.asarray(result.full(True)))
    assert "no longer here" in use_result("gone", True)["status"]
    assert "no longer here" in results.save(None, True, "PNG")["status"]


def test_faces_are_offered_and_the_frame_moves(faces: list[Placement]) -> None:
    faces += [Placement(60, 60, 50, 5), Placement(200, 80, 40)]
    shown = a_photo(file_of(noise(300, 200)))
    content = painting(shown)
    chosen = choose_face(content, "2")
    scene = json.loads(chosen["painter"])
    assert (scene["chosen"], chosen["face"]["value"], chosen["place-x"], chosen["place-y"]) == (1, "2", 200, 80)
    assert "view" not in scene
    placed = place_by_hand(content, 150, 100, 64, 0)
    assert placed["face"]["value"] is None
    assert len(json.loads(placed["painter"])["frames"]) == 3
    assert photo.kept(shown.key).place == Placement(150, 100, 64)
    for face in ("3", "0", "x", None, 1):
        assert "Choose one of the faces" in choose_face(content, face)["painter"]
    for numbers in ((None, 0, 64, 0), (0, 0, 2, 0), (-1, 0, 64, 0), (0, 0, 64, 400), ("1", 0, 64, 0), (0, 0, 1e9, 0)):
        assert "of the square is a number" in place_by_hand(content, *numbers)["painter"]


def test_what_is_kept_is_dropped_in_time() -> None:
    kept = Keep(seconds=0.2, limit=100)
    first, second = kept.put("first", 60), kept.put("second", 60)
    assert kept.get(first) is None  # too much together
    assert kept.get(second) == "second"
    time.sleep(0.3)
    assert kept.get(second) is None


def test_photos_are_not_shared() -> None:
    assert a_photo().key != a_photo().key
    assert len(a_photo().key) > 20


def test_slider_positions_lie_on_the_grid() -> None:
    assert subject.on_grid(SMILE, 0.7321) == 0.7
    assert subject.on_grid(SMILE, 9.0) == 3.0
    assert subject.on_grid(GLASSES, None) == 0.5


def test_only_moved_sliders_count() -> None:
    start = {"smile": 0.7, "glasses": 0.5}
    assert subject.moved((SMILE, GLASSES), start, (0.7, 0.5, 0.0)) == {}
    assert subject.moved((SMILE, GLASSES), start, (0.8, 0.5)) == {"smile": 0.8}
    assert subject.moved((SMILE, GLASSES), start, (0.70001, 1.0)) == {"glasses": 1.0}
    with pytest.raises(ControlError, match="smile=4"):
        subject.moved((SMILE, GLASSES), start, (4.0, 0.5))


def test_crisp_keeps_pixels_smooth_blends_them() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    frame = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    crisp, smooth = (np.asarray(sheets.enlarge(frame, look, render.SIDE)) for look in (True, False))
    assert crisp.shape == smooth.shape == (render.SIDE, render.SIDE, 3)
    assert np.array_equal(crisp[::6, ::6], np.asarray(frame))
    assert set(np.unique(crisp)) == {0, 255}
    assert len(np.unique(smooth)) > 20


def test_masked_picture_stripes_the_hole_only() -> None:
    frame, mask = Image.new("RGB", (64, 64), (200, 0, 0)), masks.family("mouth")
    pixels = np.asarray(sheets.masked_picture(frame, mask, True, render.SIDE))
    red = (pixels == (200, 0, 0)).all(-1)
    assert np.array_equal(red[3::6, 3::6], mask)


def drawn_slots(what: str) -> list[Any]:
    update = steer.draw_sliders("plain", what)
    return [update[name] for name in SLOT_IDS]


def test_sliders_are_drawn_from_the_declaration(method: PlainMethod) -> None:
    what = painting(a_photo())
    start = subject.kept_start(steer.draw_sliders("plain", what)["start"])
    assert start
    slots = drawn_slots(what)
    assert start.values == {"smile": 0.7, "glasses": 0.5, "spread": 1.0}
    assert len(slots) == MAX_CONTROLS + MAX_OPTIONS
    shown = [slot for slot in slots if slot["visible"]]
    assert [slot["label"] for slot in shown] == ["Smile", "Glasses", "Spread"]
    assert (shown[0]["minimum"], shown[0]["maximum"], shown[0]["step"]) == (-3.0, 3.0, 0.1)
    assert slots[MAX_CONTROLS]["info"] == SPREAD.help


def test_what_the_hole_does_not_show_is_said(method: PlainMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainMethod, "controls", (replace(SMILE, kind="attribute"), GLASSES))
    monkeypatch.setattr(PlainMethod, "relevance", lambda self, mask: {"smile": -1.0})
    drawn = steer.draw_sliders("plain", painting(a_photo()))
    assert "Not visible in this hole: Smile." in drawn["note"]
    assert drawn["slider-0"]["label"] == "Glasses"


def test_reset_returns_to_the_start(method: PlainMethod) -> None:
    what = painting(a_photo())
    start = steer.draw_sliders("plain", what)["start"]
    slots = steer.reset_sliders(start, what)
    assert json.loads(slots.pop("stand")) == {"smile": 0.7, "glasses": 0.5, "spread": 1.0}
    assert {name: slot["value"] for name, slot in slots.items()} == {"slider-0": 0.7, "slider-1": 0.5, "option-0": 1.0}
    undone = {"sliders": {"smile": 2.0, "glasses": "x", "unknown": 1.0}}
    there = steer.put_sliders(start, what, gr.EventData(None, undone))
    assert there.keys() == {"stand", "slider-0"}
    assert there["slider-0"]["value"] == 2.0
    for wrong in (None, {}, {"sliders": [1]}):
        assert not steer.put_sliders(start, what, gr.EventData(None, wrong))


def test_a_preset_sets_several_sliders_and_leaves_what_is_held(
    method: PlainMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainMethod, "presets", lambda self, mask: {"Both": {"smile": 2.0, "glasses": 1.0}})
    monkeypatch.setattr(
        PlainMethod, "previews", lambda self, image, mask, settings: image.expand(len(settings), 3, 64, 64)
    )
    shown = a_photo()
    what, held = painting(shown), painting(shown, held=["smile", "unknown", 3])
    drawn = steer.draw_sliders("plain", what)
    assert drawn["presets"]["visible"]
    assert drawn["presets"]["value"].count("<img") == 1
    start, chosen = drawn["start"], gr.EventData(None, {"preset": "Both"})
    assert json.loads(steer.choose_preset(start, what, chosen)["stand"]) == {
        "smile": 2.0,
        "glasses": 1.0,
        "spread": 1.0,
    }
    assert json.loads(steer.choose_preset(start, held, chosen)["stand"]) == {"glasses": 1.0, "spread": 1.0}
    assert json.loads(steer.reset_sliders(start, held)["stand"]) == {"glasses": 0.5, "spread": 1.0}
    assert steer.choose_preset(None, what, chosen) == {}
    for wrong in (None, {}, {"preset": "None"}, {"preset": None}):
        assert steer.choose_preset(start, what, gr.EventData(None, wrong)) == {}


def test_what_is_held_counts_where_it_stands(method: PlainMethod) -> None:
    shown = a_photo()
    start = steer.draw_sliders("plain", painting(shown))["start"]
    sliders = (0.7, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1))
    for held, controls in ((["smile"], {"smile": 0.7}), (["z9"], {}), ("smile", {}), ([None], {}), (7, {})):
        run_fill(start, sliders, what=painting(shown, held=held))
        assert method.calls[-1] == (controls, {})


def test_fill_passes_what_was_moved_and_ends_with_the_figures(method: PlainMethod) -> None:
    what = painting(a_photo())
    start = steer.draw_sliders("plain", what)["start"]
    sliders = (2.0, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1))
    updates = run_fill(start, sliders, what=what)
    assert method.calls == [({"smile": 2.0}, {})]
    last = updates[-1]
    result = results.finished_result(last["result"])
    assert "Filled in 1.2 s. 2 fills to choose from." in last["status"]
    assert last["pictures"].count("data-sample") == 2
    assert last["pictures"].count("<span>likeliest</span>") == 1
    assert "seed 1, bits per dim 3.50" in last["pictures"]
    assert result.seeds == (0, 1)
    assert result.progress == 1.0
    assert len(updates) < 20  # 51 steps, at most ten updates a second


def test_sliders_of_another_picture_are_ignored(method: PlainMethod) -> None:
    starts = {"smile": 0.0, "glasses": 0.5, "spread": 1.0}
    start = subject.Start(("plain", "another", "1,2,3", "mouth"), starts, engine.slots(method), starts)
    run_fill(start.kept(), (2.0, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0))
    assert method.calls == [({}, {})]


@pytest.mark.parametrize(
    ("fault", "message"),
    [({"seed": -1}, "The seed is a whole"), ({"seed": None}, "The seed is a whole"), ({"samples": 9}, "from 1 to 8")],
)
def test_fill_says_what_is_wrong(method: PlainMethod, fault: dict[str, Any], message: str) -> None:
    last = run_fill(**fault)[-1]
    assert message in last["status"]
    assert method.calls == []


def test_stop_ends_the_work_and_what_was_drawn_stays(method: PlainMethod) -> None:
    run = filling.begin(None)["run"]
    updates = filling.stoppable(filling.fill)(
        run, "plain", painting(a_photo()), "Smooth", results.IN_PHOTO, True, None, 0, 1
    )
    assert "Getting ready" in next(updates)["status"]
    key = next(updates)["result"]
    assert not method.closed
    filling.stop("of someone else")
    filling.stop(run)
    (last,) = updates
    assert method.closed
    assert "Stopped at 0 %." in last["status"]
    assert results.kept_result(key) is not None
    with pytest.raises(PageError):
        results.finished_result(key)


def test_a_run_stopped_while_it_waits_does_nothing(method: PlainMethod) -> None:
    run = filling.begin(None)["run"]
    filling.stop(run)
    (only,) = filling.stoppable(filling.fill)(
        run, "plain", painting(a_photo()), "Smooth", results.IN_PHOTO, True, None, 0, 1
    )
    assert "Stopped." in only["status"]
    assert method.calls == []


def test_stop_does_not_wait_for_a_step_that_takes_long(method: PlainMethod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainMethod, "pause", 20.0)
    run = filling.begin(None)["run"]
    updates = filling.stoppable(filling.fill)(
        run, "plain", painting(a_photo()), "Smooth", results.IN_PHOTO, True, None, 0, 1
    )
    next(updates)
    threading.Timer(0.3, filling.stop, [run]).start()
    began = time.monotonic()
    (last,) = updates
    assert "Stopped" in last["status"]
    assert time.monotonic() - began < 10


def test_look_changes_without_filling_again(method: PlainMethod) -> None:
    key = run_fill()[-1]["result"]
    crisp, smooth, in_photo = (
        results.show_result(key, look, where, True)["pictures"]
        for look, where in (("Crisp", results.IN_FRAME), ("Smooth", results.IN_FRAME), ("Smooth", results.IN_PHOTO))
    )
    assert len({crisp, smooth, in_photo}) == 3
    assert len(method.calls) == 1
    assert results.show_result(None, "Crisp", results.IN_PHOTO, True)["pictures"] == ""


def test_an_example_suggests_sliders_for_its_own_hole(method: PlainMethod) -> None:
    shown = a_photo()
    shown = replace(shown, suggestion=(shown.preset("mouth"), {"smile": 2.0, "spread": 0.5, "unknown": 1.0}))
    photo.keep(shown)
    start = subject.kept_start(steer.draw_sliders("plain", painting(shown))["start"])
    assert start
    slots = drawn_slots(painting(shown))
    assert (start.values["smile"], slots[0]["value"], slots[MAX_CONTROLS]["value"]) == (0.7, 2.0, 0.5)
    slots = drawn_slots(painting(shown, shown.preset("eyes")))
    assert slots[0]["value"] == 0.7


def test_missing_weights_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Method:
        raise RuntimeError("/secret/weights/csi is missing")

    monkeypatch.setattr("csi_demo.methods.load_method", fail)
    note = steer.draw_sliders(None, painting(a_photo()))["note"]
    assert "The model could not be loaded" in note
    assert "secret" not in note
    engine.warm_up().join()


def test_page_is_private() -> None:
    demo = build()
    visible = [one["api_name"] for one in demo.config["dependencies"] if one["api_visibility"] != "private"]
    assert visible == ["complete", "compare", "edit", "list_methods", "list_controls"]
    assert demo.analytics_enabled is False
    options = launch_options()
    assert options["allowed_paths"] == []
    assert options["max_file_size"]
    assert not any(options[name] for name in ("show_error", "enable_monitoring", "run_history", "ssr_mode"))


def test_every_control_has_a_label_and_a_help() -> None:
    controls = [block for block in build().blocks.values() if isinstance(block, FormComponent)]
    slots = [block for block in controls if str(block.elem_id).startswith(("slider-", "option-", "switch-"))]
    assert len(slots) == MAX_CONTROLS + MAX_OPTIONS
    assert all(block.label and getattr(block, "info", None) for block in controls if block not in slots)


def test_port_and_host_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert (launch_options()["server_name"], launch_options()["server_port"]) == ("127.0.0.1", 7860)
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert (launch_options()["server_name"], launch_options()["server_port"]) == ("0.0.0.0", 8001)


def test_a_face_is_clicked_and_the_square_dragged(faces: list[Placement]) -> None:
    faces += [Placement(600, 600, 500, 5), Placement(2000, 800, 400)]
    shown = a_photo(file_of(noise(2400, 1500)))
    content = painting(shown)
    assert json.loads(click_face(content, gr.EventData(None, {"face": 1}))["painter"])["chosen"] == 1
    for wrong in (None, {}, {"face": 2}, {"face": -1}, {"face": "1"}, {"face": True}):
        assert "Choose one of the faces" in click_face(content, gr.EventData(None, wrong))["painter"]
    scale = shown.scale
    there = {"x": 1000 * scale, "y": 700 * scale, "side": 300 * scale, "turn": 12.0}
    dragged = drag_square(content, gr.EventData(None, there))
    assert dragged["place-size"] == 300
    place = photo.kept(shown.key).place
    assert (place.x, place.y, place.size, place.angle) == pytest.approx((1000, 700, 300, 12))
    for wrong in (None, {}, there | {"x": "7"}, there | {"turn": None}, there | {"side": float("nan")}):
        assert "trouble" in json.loads(drag_square(content, gr.EventData(None, wrong))["painter"])


def test_a_session_keeps_nothing_but_its_states() -> None:
    demo = build()
    state = SessionState(demo)
    resetting = next(one for one in demo.fns.values() if one.name == "reset_sliders")
    shown = [gr.update(value=1.0, visible=True) for _ in resetting.outputs]
    sent = asyncio.run(demo.postprocess_data(resetting, shown, state))
    assert {float(one["value"]) for one in sent} == {1.0}
    assert state.config_values == {}
    assert state.blocks_config.blocks == demo.default_config.blocks

"""Results of a visit and the files that are taken away, without a browser and without weights."""

from __future__ import annotations

import io
import json
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image, JpegImagePlugin, PngImagePlugin

from csi_demo.ui import downloads, filling, painter, photo, results
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS
from csi_demo.ui.panels import steer
from csi_demo.ui.panels.shown import go_back

from ..visitor import PlainMethod, a_photo, file_of, noise, painting, run_fill

pytestmark = pytest.mark.usefixtures("faces")


def test_results_of_a_visit_are_kept_and_sliders_make_one_of_their_own(method: PlainMethod, monkeypatch) -> None:
    what, run = painting(a_photo()), None
    start = steer.draw_sliders("plain", what)["start"]
    shown = (what, "Smooth", results.IN_PHOTO, True, start)

    def filled(seed: int) -> str:
        nonlocal run
        run = filling.begin(run)["run"]
        return list(filling.stoppable(filling.fill)(run, "plain", *shown, seed, 1))[-1]["result"]

    def steered(smile: float) -> str:
        slots = (smile, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1))
        return list(filling.refill(run, "plain", *shown, 0, 1, *slots))[-1]["result"]

    first = filled(0)
    moved = steered(1.0)
    assert steered(2.0) == moved != first
    assert results.finished_result(moved).settings == {"smile": 2.0}
    filling.end_steering(run)
    assert steered(2.5) not in (first, moved)
    run = filling.begin(run)["run"]
    compared = list(filling.stoppable(filling.compare)(run, "plain", *shown, 9, 1))[-1]["result"]
    assert all(results.finished_result(key) for key in (first, moved, compared))
    monkeypatch.setattr(filling, "KEPT_RESULTS", 3)
    latest = filled(1)
    assert [results.kept_result(key) is not None for key in (first, moved, compared, latest)] == [
        False,
        False,
        True,
        True,
    ]


def test_going_back_shows_an_earlier_result_with_its_hole_and_sliders(method: PlainMethod) -> None:
    shown = a_photo()
    what = painting(shown, edit=7)
    start = steer.draw_sliders("plain", what)["start"]
    slots = (2.0, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1))
    key = run_fill(start, slots, seed=3, what=what)[-1]["result"]
    look = ("Smooth", results.IN_PHOTO, True)
    back = go_back(None, *look, gr.EventData(None, {"result": key}))
    scene = json.loads(back["painter"])
    assert (scene["photo"], scene["edit"], back["result"]) == (shown.key, 7, key)
    assert np.array_equal(painter.to_mask(scene, shown.view.size), shown.preset("mouth"))
    assert f'data-key="{key}"' in back["pictures"]
    assert 'data-edit="7"' in back["pictures"]
    assert (back["method"], back["seed"], back["samples"]) == ("plain", 3, 2)
    assert steer.draw_sliders("plain", what)["slider-0"]["value"] == 2.0
    for wrong in (None, 7, {"result": "of someone else"}, {"result": shown.key}):
        assert "no longer here" in go_back(None, *look, gr.EventData(None, wrong))["status"]


@pytest.mark.parametrize(
    ("picture", "kind", "options", "ending", "mode"),
    [
        (noise(96, 64), "JPEG", {"subsampling": 2}, ".jpg", "RGB"),
        (noise(96, 64), "PNG", {}, ".png", "RGB"),
        (noise(96, 64).convert("L"), "PNG", {}, ".png", "L"),
        (noise(96, 64).convert("RGBA"), "WEBP", {"lossless": True}, ".webp", "RGB"),
    ],
    ids=["JPEG", "PNG", "grey", "WebP"],
)
def test_a_download_has_the_photos_name_and_format(
    method: PlainMethod, picture: Image.Image, kind: str, options: dict[str, Any], ending: str, mode: str
) -> None:
    data = file_of(picture, kind, **options)
    shown = photo.from_bytes(data, name=photo.plain_name("C:\\me\\My holiday (1).of June.jpeg"))
    result = results.finished_result(run_fill(what=painting(shown), samples=1)[-1]["result"])
    content, name = downloads.full_size(result, True, downloads.LIKE_PHOTO)
    assert name.endswith(f"My-holiday-1-of-June-plain-seed-0{ending}")
    with Image.open(io.BytesIO(content)) as saved:
        assert (saved.format, saved.mode, saved.size) == (kind, mode, (96, 64))
        if kind == "JPEG":
            assert JpegImagePlugin.get_sampling(saved) == 2
    with Image.open(io.BytesIO(downloads.full_size(result, True, "PNG")[0])) as saved:
        before, after = np.asarray(shown.full()), np.asarray(saved.convert("RGB"))
    assert np.array_equal(after[result.subject.mask], before[result.subject.mask])


def test_transparency_stays_what_it_was(method: PlainMethod) -> None:
    picture = noise(96, 64).convert("RGBA")
    alpha = Image.linear_gradient("L").resize((96, 64))
    picture.putalpha(alpha)
    shown = a_photo(file_of(picture))
    result = results.finished_result(run_fill(what=painting(shown))[-1]["result"])
    with Image.open(io.BytesIO(downloads.full_size(result, True, downloads.LIKE_PHOTO)[0])) as saved:
        assert np.array_equal(np.asarray(saved.getchannel("A")), np.asarray(alpha))


@pytest.mark.parametrize("hindrance", ["text", "exif", "end"])
def test_what_was_read_can_be_saved(method: PlainMethod, hindrance: str) -> None:
    """The case: a PNG with 5 MB of compressed text was filled, but "Download" did nothing."""
    if hindrance == "text":
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", "x" * 5_000_000, zip=True)
        data = file_of(noise(96, 64), pnginfo=text)
    elif hindrance == "exif":
        data = file_of(noise(96, 64), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")
    else:
        data = file_of(noise(96, 64), "JPEG")[:-2]
    shown = a_photo(data)
    assert bool(shown.note) == (hindrance == "end")
    result = results.finished_result(run_fill(what=painting(shown))[-1]["result"])
    content, _ = downloads.full_size(result, True, downloads.LIKE_PHOTO)
    with Image.open(io.BytesIO(content)) as saved:
        assert (saved.format, saved.size) == ("PNG" if hindrance == "text" else "JPEG", (96, 64))
        assert not {"Comment", "exif"} & saved.info.keys()


def test_a_side_too_long_for_a_format_makes_it_a_png(method: PlainMethod) -> None:
    shown = a_photo(file_of(noise(16_500, 700)))
    result = results.finished_result(run_fill(what=painting(shown), samples=1)[-1]["result"])
    content, name = downloads.full_size(result, False, "WebP")
    assert name.endswith(".png")
    assert content.startswith(b"\x89PNG")


def test_fills_of_a_visit_side_by_side(method: PlainMethod) -> None:
    what = painting(a_photo())
    keys = [run_fill(seed=seed, samples=samples, what=what)[-1]["result"] for seed, samples in ((3, 2), (7, 1))]
    waits, shown = results.in_large(True, gr.EventData(None, {"results": [*keys[::-1], "of someone else", 7]}))
    assert "Drawing" in waits["beside"]
    assert [f"seed {seed}" in shown["beside"] for seed in (7, 3, 4, 5)] == [True, True, True, False]
    assert shown["beside"].count("<figure") == 3
    for wrong in (None, {"results": 3}, {"results": ["of someone else"]}):
        assert "no longer here" in list(results.in_large(True, gr.EventData(None, wrong)))[-1]["beside"]

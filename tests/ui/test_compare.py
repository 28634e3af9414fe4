"""Methods side by side: the pictures to download, and the handlers, without a browser and without weights."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pytest
import torch
from PIL import Image, ImageFont

from csi_demo import methods
from csi_demo.errors import CompletionError
from csi_demo.methods import Control, Step
from csi_demo.methods.base import Task, keep_observed, toggle
from csi_demo.photo import sheets
from csi_demo.photo.sheets import FRAME_MILLISECONDS, GIF_SIDE, LAST_MILLISECONDS, MAX_FRAMES, STRIP_SIDE, Reel, Tile
from csi_demo.registry import REGISTRY, Entry, find
from csi_demo.ui import engine, filling, fills, results
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTION_SLIDERS, MAX_OPTIONS, SLOT_IDS
from csi_demo.ui.inputs import PageInputs
from csi_demo.ui.panels import fill, steer
from csi_demo.ui.wiring import Update

from ..visitor import PlainMethod, a_photo, noise, painting

pytestmark = pytest.mark.usefixtures("faces")

STEPS = Control("steps", "Steps", 1, 100, 10, "How many.", step=1)
BLEND = toggle("blend", "Blend", True, "Or not.")


class Searching(PlainMethod):
    """Draws seed / 10 and then level after level, with a loss; breaks down at step `broken`."""

    name = "searching"
    label = "Searching"
    options = (BLEND, STEPS)
    controls = ()

    def __init__(self, broken: int | None = None) -> None:
        super().__init__()
        self.broken = broken

    def start_values(self, image: Any, mask: Any) -> dict[str, float]:
        return {}

    def _complete(self, task: Task) -> Iterator[Step]:
        try:
            for number in range(11):
                if number == self.broken:
                    raise CompletionError("its loss is not finite")
                drawn = torch.full((len(task.seeds), 3, 64, 64), number / 20)
                info = {"figures": [{"loss": 20.0 - number}] * len(task.seeds), "seconds": 0.5}
                yield Step(keep_observed(task.image, task.mask, drawn), number / 10, info, {"G(z)": drawn})
        finally:
            self.closed = True


def registry(labels: dict[str, str]) -> dict[str, Entry]:
    """Methods alone, by name."""
    return {name: Entry("", "", "", "here:Method", label) for name, label in labels.items()}


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> dict[str, PlainMethod]:
    """The only methods there are; every step is shown."""
    known: dict[str, PlainMethod] = {"plain": PlainMethod(), "searching": Searching()}

    def load(name: str) -> PlainMethod:
        if name == "missing":
            raise RuntimeError("/secret/weights are missing")
        return known[name]

    monkeypatch.setattr("csi_demo.methods.load_method", load)
    monkeypatch.setattr("csi_demo.methods.REGISTRY", registry({name: one.label for name, one in known.items()}))
    monkeypatch.setattr("csi_demo.ui.filling.SECONDS_BETWEEN_UPDATES", 0.0)
    return known


def run_fill(name: str, what: str | None = None, start: Any = None, values: tuple[Any, ...] = ()) -> list[Update]:
    what = what or painting(a_photo())
    return list(filling.fill(PageInputs.of(name, what, "Crisp", results.IN_FRAME, True, start, 0, 1, *values)))


def run_compare(
    what: str | None = None, start: Any = None, values: tuple[Any, ...] = (), seed: int = 7
) -> Iterator[Update]:
    what = what or painting(a_photo())
    return filling.compare(PageInputs.of("plain", what, "Crisp", results.IN_PHOTO, True, start, seed, 1, *values))


def tiles(*counts: int) -> list[Tile]:
    """Tiles of noise with these numbers of frames, each frame another one."""
    rng = np.random.default_rng(0)
    pictures = [[Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(n)] for n in counts]
    return [Tile(f"Tile {place}", tuple(frames), ("1.23 s",)) for place, frames in enumerate(pictures)]


def corners(count: int, side: int) -> list[int]:
    """Where the tiles of one row begin."""
    return [side // 16 + place * (side + side // 16) for place in range(count)]


def test_a_strip_holds_the_pictures_pixel_by_pixel() -> None:
    three = tiles(1, 2, 1)
    pixels = np.asarray(sheets.strip(three, crisp=True))
    for tile, left in zip(three, corners(3, STRIP_SIDE), strict=True):
        shown = pixels[16 : 16 + STRIP_SIDE, left : left + STRIP_SIDE]
        assert np.array_equal(shown, np.asarray(tile.frames[-1]).repeat(4, 0).repeat(4, 1))
    smooth = np.asarray(sheets.strip(three, crisp=False))
    assert smooth.shape == pixels.shape
    assert not np.array_equal(smooth, pixels)
    assert (pixels[:, :16] == 255).all()
    assert pixels.shape[1] == 16 + 3 * (STRIP_SIDE + 16)


def test_a_strip_has_its_labels_below_the_pictures() -> None:
    named = sheets.strip([Tile("CSI", (noise(64, 64),), ("0.41 s",)), Tile("", (noise(64, 64),), ("", ""))], True)
    pixels = np.asarray(named)[16 + STRIP_SIDE :]
    left, right = pixels[:, : 16 + STRIP_SIDE], pixels[:, 16 + STRIP_SIDE :]
    dark = (left.max(-1) < 100).any(1)
    lines = np.flatnonzero(np.diff(dark.astype(int)) == 1)
    assert len(lines) == 2  # title and seconds
    assert (right == 255).all()


def test_many_tiles_take_several_rows() -> None:
    one, two = sheets.strip(tiles(*[1] * 6), True), sheets.strip(tiles(*[1] * 10), True)
    assert two.width == 16 + 5 * (STRIP_SIDE + 16)
    assert two.height - 16 == 2 * (one.height - 16)


def test_text_is_shortened_to_its_tile() -> None:
    font = ImageFont.load_default(size=18)
    assert sheets.shorten("CSI", font, 256) == "CSI"
    short = sheets.shorten("A method with a name that is far too long for a tile", font, 256)
    assert short.startswith("A method")
    assert short.endswith("…")
    assert 200 < font.getlength(short) <= 256


def test_an_animation_plays_all_frames_and_holds_the_last() -> None:
    three = tiles(1, 5, 12)
    moving = Image.open(io.BytesIO(sheets.animation(three, crisp=True)))
    assert (moving.format, moving.info["loop"], getattr(moving, "n_frames", 1)) == ("GIF", 0, 12)
    lefts, top = corners(3, GIF_SIDE), GIF_SIDE // 16
    for moment in range(12):
        moving.seek(moment)
        assert moving.info["duration"] == (LAST_MILLISECONDS if moment == 11 else FRAME_MILLISECONDS)
        pixels = np.asarray(moving.convert("RGB")).astype(int)
        for tile, left in zip(three, lefts, strict=True):
            frame = np.asarray(tile.frames[min(moment, len(tile.frames) - 1)]).astype(int)
            shown = pixels[top : top + GIF_SIDE : 3, left : left + GIF_SIDE : 3]
            assert np.abs(shown - frame).mean() < 25  # noise in 240 colours; another frame would differ by 85


def test_a_reel_keeps_few_pictures_evenly_and_the_latest() -> None:
    reel, pictures = Reel(), [(Image.new("L", (1, 1), number),) for number in range(200)]
    for number, one in enumerate(pictures):
        reel.add(one, number / 250)
    shades = [frame.getpixel((0, 0)) for frame in reel.film(0).frames()]
    assert len(shades) <= MAX_FRAMES
    assert (shades[0], shades[-1]) == (0, 199)
    assert max(np.diff(shades)) <= 8
    few = Reel()
    for number in range(3):
        few.add(pictures[number], number / 2)
    assert few.film(0).frames() == tuple(one[0] for one in pictures[:3])


def test_a_film_is_exact_and_small_where_little_changes() -> None:
    reel, still = Reel(), np.array(noise(64, 64))
    moments = []
    for row in range(40):
        still[row, 20:44] = row
        moments.append(Image.fromarray(still))
        reel.add([noise(64, 64), moments[-1]], row / 39)
        film = reel.film(1)
        assert film.last is moments[-1]
        assert film.frames()[-1] == moments[-1]
    frames = film.frames()
    assert len(frames) > 30
    assert all(frame in moments for frame in frames)
    assert sum(map(len, film.changes)) < 2 * still.size


def test_slots_follow_the_declaration_by_kind() -> None:
    slots = engine.slots(Searching())
    assert slots[:MAX_CONTROLS] == (None,) * MAX_CONTROLS
    assert slots[MAX_CONTROLS] is STEPS
    assert slots[MAX_CONTROLS + MAX_OPTION_SLIDERS] is BLEND


def test_every_registered_method_has_its_label_and_a_slot_for_each_option() -> None:
    for name, label in methods.method_labels().items():
        method = find("methods", REGISTRY[name].method)
        assert (method.name, method.label) == (name, label)
        shown = Searching()
        shown.options = method.options  # type: ignore[misc]
        assert {slot.name for slot in engine.slots(shown) if slot} == {option.name for option in method.options}


def test_the_page_is_built_with_its_methods_before_pytorch_is_loaded() -> None:
    code = (
        "import sys; from csi_demo.ui.blocks import build; demo = build(); "
        "radio = next(block for block in demo.blocks.values() if block.elem_id == 'method'); "
        "print(radio.choices, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.split() == f"{engine.method_choices()} False".split()


def test_switches_and_whole_numbers_are_drawn_and_count_when_moved(two: dict[str, PlainMethod]) -> None:
    what = painting(a_photo())
    update = steer.draw_sliders("searching", what)
    start, shown = update["start"], [update[name] for name in SLOT_IDS if update[name]["visible"]]
    assert [(slot["label"], slot["value"]) for slot in shown] == [("Steps", 10), ("Blend", True)]
    assert shown[0]["step"] == 1
    assert "For tests." in update["note"]
    values: list[Any] = [0.0] * (MAX_CONTROLS + MAX_OPTIONS)
    values[MAX_CONTROLS], values[MAX_CONTROLS + MAX_OPTION_SLIDERS] = 25, False
    run_fill("searching", what, start, tuple(values))
    assert two["searching"].calls == [({}, {"steps": 25.0, "blend": 0.0})]
    values[MAX_CONTROLS], values[MAX_CONTROLS + MAX_OPTION_SLIDERS] = 10, True
    run_fill("searching", what, start, tuple(values))
    assert two["searching"].calls[1] == ({}, {})
    reset = steer.reset_sliders(start, what)
    assert [slot["value"] for name, slot in reset.items() if name != "stand"] == [10, True]


def test_loss_and_other_pictures_are_shown_on_the_way_and_at_the_end(two: dict[str, PlainMethod]) -> None:
    updates = run_fill("searching")
    early, late = (updates[step]["pictures"] for step in (1, 5))
    assert early != late
    assert all(view.count('data-kind="cells"') == 1 for view in (early, late))
    last = updates[-1]
    assert "G(z)" in last["pictures"]
    assert "loss 10.00" in last["pictures"]
    sample = results.finished_result(last["result"]).samples[0]
    assert len(sample.film.frames()) == 11
    assert np.array_equal(np.asarray(sample.beside["G(z)"])[0, 0], [191] * 3)


def test_what_diverges_leaves_one_line_and_the_last_good_step(two: dict[str, PlainMethod]) -> None:
    two["searching"] = Searching(broken=6)
    last = run_fill("searching")[-1]
    assert last["status"].count("csi-trouble") == 1
    assert "Searching gave up: its loss is not finite." in last["status"]
    assert results.kept_result(last["result"]).samples[0].figures == {"loss": 15.0}
    assert results.show_result(last["result"], "Crisp", results.IN_FRAME, True)["pictures"] == last["pictures"]
    two["searching"] = Searching(broken=0)
    assert "gave up" in run_fill("searching")[-1]["status"]


def test_all_methods_run_on_one_hole_and_seed(two: dict[str, PlainMethod]) -> None:
    what = painting(a_photo())
    start = steer.draw_sliders("plain", what)["start"]
    updates = list(run_compare(what, start, (2.0, 0.5)))
    assert two["plain"].calls == [({"smile": 2.0}, {})]
    assert two["searching"].calls == [({}, {})]
    running = updates[1]["pictures"]
    assert running.count("csi-hold") == 1
    assert "waits" in running
    view, key = updates[-1]["pictures"], updates[-1]["result"]
    assert "Compared 2 methods" in updates[-1]["status"]
    result = results.finished_result(key)
    assert [(sample.method, sample.seed) for sample in result.samples] == [("Plain", 7), ("Searching", 7)]
    for said in ("Plain", "1.25 s", "bits per dim 3.5", "Searching", "0.50 s", "loss 10", "PSNR"):
        assert said in view
    results.choose_sample(key, "Smooth", results.IN_PHOTO, True, gr.EventData(None, {"index": 1}))
    hole = ~result.subject.frame_mask
    assert (np.asarray(results.finished_result(key).full(True))[hole] == 191).all()
    shares = [float(one["status"].split('data-progress="')[1].split('"')[0]) for one in updates[:-1]]
    assert shares == sorted(shares)


def test_only_the_chosen_methods_are_compared(two: dict[str, PlainMethod]) -> None:
    run = filling.begin(None)["run"]
    values = ("plain", painting(a_photo()), "Crisp", results.IN_PHOTO, True, None, 7, 1)
    last = list(filling.compare_chosen(run, ["searching"], *values))[-1]
    assert "Compared 1 method" in last["status"]
    assert [sample.method for sample in results.finished_result(last["result"]).samples] == ["Searching"]
    assert two["plain"].calls == []
    for bad, said in (([], "at least one"), (["wings"], "plain, searching"), ("plain", "plain, searching")):
        assert said in list(filling.compare_chosen(run, bad, *values))[-1]["status"]


def test_the_chosen_methods_are_remembered(two: dict[str, PlainMethod]) -> None:
    chosen = fill.choose_compared(["searching"])
    assert (chosen["kept"], chosen["compare"]["value"]) == (["searching"], "Compare 1")
    assert fill.recall(["searching"])["compared"] == ["searching"]
    assert fill.recall(["plain", "searching"])["compare"]["value"] == "Compare all"
    assert fill.recall(["wings"]) == fill.recall({"plain": 1}) == fill.choose_compared("plain") == {}


def test_a_comparison_goes_on_without_the_methods_that_fail(two: dict[str, PlainMethod], monkeypatch) -> None:
    labels = {"missing": "Missing", "searching": "Searching", "plain": "Plain"}
    monkeypatch.setattr("csi_demo.methods.REGISTRY", registry(labels))
    two["searching"] = Searching(broken=4)
    last = list(run_compare())[-1]
    result, status = results.finished_result(last["result"]), last["status"]
    assert [sample.method for sample in result.samples] == ["Searching", "Plain"]
    assert "Missing gave up: The model could not be loaded" in status
    assert "Searching gave up: its loss is not finite." in status
    assert "secret" not in status
    assert "gave up on the way" in last["pictures"]
    monkeypatch.setattr("csi_demo.methods.REGISTRY", registry({"missing": "Missing"}))
    assert "could not be loaded" in list(run_compare())[-1]["status"]


@pytest.mark.parametrize(("name", "waiting"), [("plain", 1), ("searching", 0)])
def test_stopping_a_comparison_ends_the_method_that_runs(two: dict[str, PlainMethod], name: str, waiting: int) -> None:
    run = filling.begin(None)["run"]
    values = ("plain", painting(a_photo()), "Crisp", results.IN_PHOTO, True, None, 7, 1)
    updates = filling.stoppable(filling.compare)(run, *values)
    running = (update for update in updates if "pictures" in update)
    key = next(update["result"] for update in running if update["pictures"].count("csi-hold") == waiting)
    assert not two[name].closed
    filling.stop(run)
    (last,) = updates
    assert two[name].closed
    assert len(two["searching"].calls) == (name == "searching")
    shown = results.show_result(key, "Crisp", results.IN_PHOTO, True)["pictures"]
    assert "csi-tiles" in shown
    if name == "plain":  # nothing was done yet
        assert "Stopped at" in last["status"]
        assert "no longer here" in results.save_strip(key, "Crisp")["status"]
    else:  # the first method was: it is there to be taken away
        assert "Stopped after 1 method" in last["status"]
        assert [sample.method for sample in results.finished_result(key).samples] == ["Plain"]
        assert "PSNR" in shown


def test_everything_of_a_comparison_comes_in_one_file(
    two: dict[str, PlainMethod], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    key = list(run_compare())[-1]["result"]
    saved = Path(results.save_all(key, "Crisp", True, "PNG")["file"])
    assert saved.name == "photo-compared-seed-7.zip"
    result = results.finished_result(key)
    with ZipFile(saved) as packed:
        assert packed.testzip() is None
        rows = list(csv.DictReader(io.StringIO(packed.read("figures.csv").decode())))
        said = json.loads(packed.read("settings.json"))
        hole = np.asarray(Image.open(io.BytesIO(packed.read("mask.png")))) == 0
        photo = np.asarray(result.photo.full())
        for row in rows:
            picture = np.asarray(Image.open(io.BytesIO(packed.read(row["file"]))))
            assert np.array_equal(picture[~hole], photo[~hole])
            assert not np.array_equal(picture[hole], photo[hole])
        assert Image.open(io.BytesIO(packed.read("strip.png"))).width > STRIP_SIDE
    assert [row["method"] for row in rows] == ["Plain", "Searching"]
    for row in rows:
        assert 0 < float(row["psnr"]) < 60
        assert all(row[name] for name in ("ssim", "l1", "features", "seconds"))
    assert [one["seed"] for one in said["results"]] == [7, 7]
    assert {"torch", "weights of csi"} <= said["versions"].keys()


def test_a_result_is_saved_as_a_strip_and_an_animation(
    two: dict[str, PlainMethod], tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    for updates, kind, tiles_shown, frames in (
        (run_compare(), "photo-compared-seed-7", 4, MAX_FRAMES),
        (run_fill("searching"), "photo-searching-seed-0", 3, 11),
    ):
        key = list(updates)[-1]["result"]
        strip, moving = (save(key, "Smooth")["file"] for save in (results.save_strip, results.save_animation))
        assert strip.endswith(f"{kind}-strip.png")
        assert moving.endswith(f"{kind}.gif")
        with Image.open(strip) as picture:
            assert picture.width == 16 + tiles_shown * (STRIP_SIDE + 16)
            assert picture.info.keys() <= {"dpi", "srgb"}
        with Image.open(moving) as picture:
            assert 11 <= getattr(picture, "n_frames", 1) <= frames
            assert picture.width == 12 + (tiles_shown - 1) * (GIF_SIDE + 12)
    assert "no longer here" in results.save_animation("gone", "Crisp")["status"]


def test_bad_numbers_stop_a_comparison_before_it_begins(two: dict[str, PlainMethod]) -> None:
    updates = list(run_compare(seed=-1))
    assert "The seed is a whole" in updates[-1]["status"]
    assert not any("result" in update for update in updates)
    assert two["plain"].calls == []


def test_figures_are_short() -> None:
    assert [fills.number(value) for value in (312.456, 3.5, 0.01234)] == ["312.46", "3.50", "0.012"]

"""The page's handlers, without a browser and without weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gradio.components.base import FormComponent
from PIL import Image

from csi_demo import masks
from csi_demo.methods import Control, ControlError, Method, Step
from csi_demo.methods.base import keep_observed
from csi_demo.ui import engine, handlers, render
from csi_demo.ui.blocks import EXAMPLE, build, hole_choices, launch_options
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS, PageError

EDGES = (16, 16, 48, 48)
SMILE = Control("smile", "Smile", -3.0, 3.0, None, "How much of a smile.")
GLASSES = Control("glasses", "Glasses", 0.0, 1.0, 0.5, "With glasses or without.", 0.25)
SPREAD = Control("spread", "Spread", 0.0, 1.5, 1.0, "How far samples stray.")


class PlainMethod(Method):
    """Paints the hole in one level: the smile's, or the seed's."""

    name = "plain"
    label = "Plain"
    description = "For tests."
    options = (SPREAD,)
    controls = (SMILE, GLASSES)

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, float], dict[str, float]]] = []
        self.closed = False

    def start_values(self, image: Any, mask: Any) -> dict[str, float]:
        return {"smile": 0.7321}

    def complete(self, image: Any, mask: Any, seeds: Any = (0,), controls: Any = None, options: Any = None) -> Any:
        self.calls.append((dict(controls or {}), dict(options or {})))
        return self._steps(image, mask, seeds, (controls or {}).get("smile"))

    def _steps(self, image: torch.Tensor, mask: torch.Tensor, seeds: Any, smile: float | None) -> Iterator[Step]:
        levels = torch.tensor([seed / 10 if smile is None else smile / 3 for seed in seeds])
        images = keep_observed(image, mask, levels[:, None, None, None].expand(-1, 3, 64, 64))
        try:
            for row in range(50):
                yield Step(images, row / 50)
            yield Step(images, 1.0, {"seconds": 1.25, "bits_per_dim": [3.5] * len(seeds)})
        finally:
            self.closed = True


@pytest.fixture
def method(monkeypatch: pytest.MonkeyPatch) -> PlainMethod:
    """The only method there is."""
    plain = PlainMethod()
    for module in ("csi_demo.methods", "csi_demo.complete"):
        monkeypatch.setattr(f"{module}.load_method", lambda name: plain)
    return plain


def photo(path: Path = EXAMPLE) -> dict[str, str]:
    return {"path": str(path)}


def run_fill(start: Any = None, sliders: tuple[float, ...] = (), seed: object = 0, samples: object = 2) -> list[Any]:
    return list(handlers.fill("plain", photo(), "Crisp", start, seed, samples, "mouth", 0, *EDGES, *sliders))


def test_example_is_a_frame() -> None:
    with Image.open(EXAMPLE) as picture:
        assert (picture.size, picture.mode) == ((64, 64), "RGB")


def test_unreadable_upload_is_named_without_its_folder(tmp_path: Path) -> None:
    broken = tmp_path / "holiday.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(PageError, match=r"^holiday\.png is not a picture that can be read"):
        handlers.read_frame(str(broken))
    with pytest.warns(UserWarning, match="holiday.png is not a picture"):
        html = handlers.show_masked(photo(broken), "Smooth", "mouth", 0, *EDGES)
    assert "holiday.png is not a picture" in html
    assert str(tmp_path) not in html


def test_file_names_are_escaped(tmp_path: Path) -> None:
    broken = tmp_path / "<b>.png"
    broken.write_bytes(b"no picture")
    with pytest.warns(UserWarning, match="&lt;b&gt;.png"):
        html = handlers.show_masked(photo(broken), "Smooth", "mouth", 0, *EDGES)
    assert "<b>" not in html


def test_no_picture() -> None:
    assert "Choose a picture first" in handlers.show_masked(None, "Smooth", "mouth", 0, *EDGES)


def test_a_photo_of_any_size_gives_a_frame(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (9, 90, 200)).save(tmp_path / "wide.png")
    frame = handlers.read_frame(str(tmp_path / "wide.png"))
    assert frame.size == (64, 64)
    assert frame.getpixel((5, 5)) == (9, 90, 200)


@pytest.mark.parametrize("name", [name for _, name in hole_choices()])
def test_every_hole_gives_a_mask(name: str) -> None:
    mask = handlers.hole_mask(handlers.hole_name(name, 3, EDGES))
    assert mask.shape == (64, 64)
    assert not mask.all()


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ((16, 16, 65, 48), "Right edge of the box is a whole number from 0 to 64"),
        ((-1, 16, 48, 48), "Left edge of the box is a whole number from 0 to 64"),
        ((16, None, 48, 48), "Top edge of the box is a whole number"),
        ((16, 16, 48, 20.5), "Bottom edge of the box is a whole number"),
        ((48, 16, 48, 48), "left must be smaller than right"),
    ],
)
def test_a_wrong_box_says_what_is_wrong(edges: tuple[Any, ...], message: str) -> None:
    with pytest.raises(PageError, match=message):
        handlers.hole_mask(handlers.hole_name("box", 0, edges))
    assert 'role="alert"' in handlers.show_masked(photo(), "Smooth", "box", 0, *edges)


def test_unknown_hole() -> None:
    with pytest.raises(PageError, match="unknown mask"):
        handlers.hole_mask(handlers.hole_name("../etc", 0, EDGES))


def test_slider_positions_lie_on_the_grid() -> None:
    assert handlers.on_grid(SMILE, 0.7321) == 0.7
    assert handlers.on_grid(SMILE, 9.0) == 3.0
    assert handlers.on_grid(GLASSES, None) == 0.5


def test_only_moved_sliders_count() -> None:
    start = {"smile": 0.7, "glasses": 0.5}
    assert handlers.moved((SMILE, GLASSES), start, (0.7, 0.5, 0.0)) == {}
    assert handlers.moved((SMILE, GLASSES), start, (0.8, 0.5)) == {"smile": 0.8}
    assert handlers.moved((SMILE, GLASSES), start, (0.70001, 1.0)) == {"glasses": 1.0}
    with pytest.raises(ControlError, match="smile=4"):
        handlers.moved((SMILE, GLASSES), start, (4.0, 0.5))


def test_crisp_keeps_pixels_smooth_blends_them() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 255
    frame = Image.fromarray(board.astype(np.uint8)).convert("RGB")
    crisp, smooth = (np.asarray(render.enlarge(frame, look)) for look in (True, False))
    assert crisp.shape == smooth.shape == (render.SIDE, render.SIDE, 3)
    assert np.array_equal(crisp[::6, ::6], np.asarray(frame))
    assert set(np.unique(crisp)) == {0, 255}
    assert len(np.unique(smooth)) > 20


def test_masked_picture_stripes_the_hole_only() -> None:
    frame, mask = Image.new("RGB", (64, 64), (200, 0, 0)), masks.family("mouth")
    pixels = np.asarray(render.masked_picture(frame, mask, crisp=True))
    red = (pixels == (200, 0, 0)).all(-1)
    assert np.array_equal(red[3::6, 3::6], mask)


def test_sliders_are_drawn_from_the_declaration(method: PlainMethod) -> None:
    start, _, *slots = handlers.draw_sliders("plain", photo(), "mouth", 0, *EDGES)
    assert start.values == {"smile": 0.7, "glasses": 0.5, "spread": 1.0}
    assert len(slots) == MAX_CONTROLS + MAX_OPTIONS
    shown = [slot for slot in slots if slot["visible"]]
    assert [slot["label"] for slot in shown] == ["Smile", "Glasses", "Spread"]
    assert (shown[0]["minimum"], shown[0]["maximum"], shown[0]["step"]) == (-3.0, 3.0, 0.1)
    assert slots[MAX_CONTROLS]["info"] == SPREAD.help


def test_reset_returns_to_the_start(method: PlainMethod) -> None:
    start, *_ = handlers.draw_sliders("plain", photo(), "mouth", 0, *EDGES)
    slots = handlers.reset_sliders(start)
    assert [slots[index]["value"] for index in (0, 1, MAX_CONTROLS)] == [0.7, 0.5, 1.0]


def test_fill_passes_what_was_moved_and_ends_with_the_figures(method: PlainMethod) -> None:
    start, *_ = handlers.draw_sliders("plain", photo(), "mouth", 0, *EDGES)
    sliders = (2.0, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0, *[0.0] * (MAX_OPTIONS - 1))
    updates = run_fill(start, sliders)
    assert method.calls == [({"smile": 2.0}, {})]
    pictures, status, result, go, halt = updates[-1]
    assert "Filled 2 samples in 1.2 s. Bits per dim: 3.50, 3.50." in status
    assert pictures.count("<img") == 2
    assert result.seeds == (0, 1)
    assert result.progress == 1.0
    assert go["interactive"]
    assert not halt["interactive"]
    assert len(updates) < 20  # 51 steps, at most ten updates a second


def test_sliders_of_another_picture_are_ignored(method: PlainMethod) -> None:
    start = handlers.Start(("plain", "/another.png", "mouth"), {"smile": 0.0, "glasses": 0.5, "spread": 1.0})
    run_fill(start, (2.0, 0.5, *[0.0] * (MAX_CONTROLS - 2), 1.0))
    assert method.calls == [({}, {})]


@pytest.mark.parametrize(
    ("fault", "message"),
    [({"seed": -1}, "The seed is a whole"), ({"seed": None}, "The seed is a whole"), ({"samples": 9}, "from 1 to 8")],
)
def test_fill_says_what_is_wrong(method: PlainMethod, fault: dict[str, Any], message: str) -> None:
    _, status, _, go, halt = run_fill(**fault)[-1]
    assert message in status
    assert go["interactive"]
    assert not halt["interactive"]
    assert method.calls == []


def test_closing_a_fill_ends_the_work(method: PlainMethod) -> None:
    updates = handlers.fill("plain", photo(), "Smooth", None, 0, 1, "mouth", 0, *EDGES)
    assert "Getting ready" in next(updates)[1]
    _, _, result, _, _ = next(updates)
    assert not method.closed
    updates.close()
    assert method.closed
    assert "Stopped at 0 %." in handlers.stop(result)[0]


def test_look_changes_without_filling_again(method: PlainMethod) -> None:
    result = run_fill()[-1][2]
    assert handlers.show_result(result, "Crisp") != handlers.show_result(result, "Smooth")
    assert len(method.calls) == 1
    assert "Your fills appear here" in handlers.show_result(None, "Crisp")


def test_missing_weights_are_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> Method:
        raise RuntimeError("/secret/weights/csi is missing")

    monkeypatch.setattr("csi_demo.methods.load_method", fail)
    _, note, *_ = handlers.draw_sliders(None, photo(), "mouth", 0, *EDGES)
    assert "The model could not be loaded" in note
    assert "secret" not in note
    engine.warm_up().join()


def test_page_is_private() -> None:
    demo = build()
    assert all(dependency["api_visibility"] == "private" for dependency in demo.config["dependencies"])
    assert demo.analytics_enabled is False
    options = launch_options()
    assert options["allowed_paths"] == []
    assert options["max_file_size"]
    assert not any(options[name] for name in ("show_error", "enable_monitoring", "run_history", "ssr_mode"))


def test_every_control_has_a_label_and_a_help() -> None:
    controls = [block for block in build().blocks.values() if isinstance(block, FormComponent)]
    slots = [block for block in controls if str(block.elem_id).startswith("slider-")]
    assert len(slots) == MAX_CONTROLS + MAX_OPTIONS
    assert all(block.label and getattr(block, "info", None) for block in controls if block not in slots)


def test_port_and_host_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PORT", "GRADIO_SERVER_PORT", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    assert (launch_options()["server_name"], launch_options()["server_port"]) == ("127.0.0.1", 7860)
    monkeypatch.setenv("GRADIO_SERVER_PORT", "8001")
    monkeypatch.setenv("GRADIO_SERVER_NAME", "0.0.0.0")
    assert (launch_options()["server_name"], launch_options()["server_port"]) == ("0.0.0.0", 8001)

"""What happens when a visitor does something. Every value from the browser is checked here, none by the components."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from PIL import Image

from .. import masks
from ..faces import FRAME, PhotoError, Placement, open_photo
from . import engine, render
from .engine import MAX_CONTROLS, MAX_OPTIONS, PageError
from .render import Result

if TYPE_CHECKING:
    from ..methods import Control

CRISP, SMOOTH = "Crisp", "Smooth"
RANDOM, BOX = "random", "box"
MAX_SAMPLES = 8
MAX_SEED = 2**31 - 1
SECONDS_BETWEEN_UPDATES = 0.1


@dataclass(frozen=True)
class Start:
    """Where the sliders stood before the visitor moved any, and for what: (method, photo, hole)."""

    subject: tuple[str, str, str]
    values: dict[str, float]


def whole(value: object, what: str, low: int, high: int) -> int:
    """The value as a whole number from low to high. Raises PageError."""
    if not isinstance(value, int | float) or value != value or not low <= value <= high or value != int(value):
        raise PageError(f"{what} is a whole number from {low} to {high}.")
    return int(value)


def photo_path(photo: Mapping[str, Any] | None) -> str:
    """The file of what the picture component sends. Raises PageError when there is none."""
    path = photo.get("path") if photo else None
    if not path:
        raise PageError("Choose a picture first.")
    return str(path)


def read_frame(path: str) -> Image.Image:
    """The 64x64 frame of a picture file. Raises PageError in the visitor's words."""
    try:
        photo = open_photo(path)
    except PhotoError as error:
        raise PageError(str(error)) from None
    return Placement.centred(photo.size).frame(photo)


def hole_name(hole: object, random_seed: object, edges: Sequence[object]) -> str:
    """What `masks.family` takes for the visitor's choice. Raises PageError."""
    if hole == RANDOM:
        return f"random:{whole(random_seed, 'The seed of the rectangle', 0, MAX_SEED)}"
    if hole == BOX:
        names = ("Left", "Top", "Right", "Bottom")
        return ",".join(
            str(whole(edge, f"{name} edge of the box", 0, FRAME)) for name, edge in zip(names, edges, strict=True)
        )
    return str(hole)


def hole_mask(name: str) -> np.ndarray:
    """The mask of a hole's name. Raises PageError in the visitor's words."""
    try:
        return masks.family(name)
    except masks.MaskError as error:
        if name.count(",") == 3:
            raise PageError("The box is empty: left must be smaller than right, top smaller than bottom.") from None
        raise PageError(str(error)) from None


def on_grid(control: Control, value: float | None) -> float:
    """The slider position nearest to a value; the middle of the slider for None."""
    middle = (control.minimum + control.maximum) / 2
    steps = round(((middle if value is None else value) - control.minimum) / control.step)
    return max(control.minimum, min(control.maximum, round(control.minimum + steps * control.step, 6)))


def moved(controls: Sequence[Control], start: Mapping[str, float], values: Sequence[object]) -> dict[str, float]:
    """The controls that stand elsewhere than at the start, by name. Raises ControlError for a value out of range."""
    changed = {}
    for control, value in zip(controls, values, strict=False):
        number = control.check(value)  # type: ignore[arg-type]
        if abs(number - start[control.name]) > control.step / 2:
            changed[control.name] = number
    return changed


def choose_methods() -> Any:
    """Fills the method dropdown, which shows only when there is a choice."""
    choices = engine.method_choices()
    return gr.update(choices=choices, value=choices[0][1], visible=len(choices) > 1)


def choose_hole(hole: str) -> tuple[Any, Any]:
    """Shows the seed for a random rectangle, the four numbers for a box."""
    return gr.update(visible=hole == RANDOM), gr.update(visible=hole == BOX)


def show_masked(photo: Mapping[str, Any] | None, look: str, hole: object, random_seed: object, *edges: object) -> str:
    """The masked input, or what is wrong with it."""
    try:
        frame = read_frame(photo_path(photo))
    except PageError as error:
        if photo:
            gr.Warning(escape(str(error)), title="This picture cannot be used")
        return render.trouble(str(error))
    try:
        return render.masked_view(frame, hole_mask(hole_name(hole, random_seed, edges)), look == CRISP)
    except PageError as error:
        return render.trouble(str(error))


def draw_sliders(
    method: str | None, photo: Mapping[str, Any] | None, hole: object, random_seed: object, *edges: object
) -> list[Any]:
    """A slider for every control and option the method declares, at its start: [Start, note, *sliders]."""
    try:
        loaded = engine.load(method)
    except PageError as error:
        return [None, render.trouble(str(error)), *[gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)]
    try:
        path, name = photo_path(photo), hole_name(hole, random_seed, edges)
        frame, mask = read_frame(path), hole_mask(name)
    except PageError:
        return [gr.skip()] * (2 + MAX_CONTROLS + MAX_OPTIONS)
    from ..complete import start_values

    controls, options = engine.offered(loaded), loaded.options[:MAX_OPTIONS]
    inferred = start_values(frame, mask, loaded.name)
    values = {control.name: on_grid(control, inferred.get(control.name, control.default)) for control in controls}
    values |= {option.name: on_grid(option, option.default) for option in options}
    start = Start((loaded.name, path, name), values)
    note = "The sliders start where your picture stands. Move one, then fill again: only what it means changes."
    return [
        start,
        render.plain_line(note if controls else "This method has no sliders."),
        *_slots(controls, MAX_CONTROLS, values),
        *_slots(options, MAX_OPTIONS, values),
    ]


def _slots(controls: Sequence[Control], count: int, values: Mapping[str, float]) -> list[Any]:
    shown = [
        gr.update(
            label=control.label,
            info=control.help,
            minimum=control.minimum,
            maximum=control.maximum,
            step=control.step,
            value=values[control.name],
            visible=True,
        )
        for control in controls
    ]
    return shown + [gr.update(visible=False)] * (count - len(controls))


def reset_sliders(start: Start | None) -> list[Any]:
    """Every slider back at its start."""
    if start is None:
        return [gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)
    method = engine.load(start.subject[0])
    values = []
    for controls, count in ((engine.offered(method), MAX_CONTROLS), (method.options[:MAX_OPTIONS], MAX_OPTIONS)):
        values += [gr.update(value=start.values[control.name]) for control in controls]
        values += [gr.skip()] * (count - len(controls))
    return values


def begin() -> tuple[str, Any, Any]:
    """What a fill shows until its turn comes: [status, fill button, stop button]."""
    line = render.progress_line("Waiting for a free place…", 0.0)
    return line, gr.update(interactive=False), gr.update(interactive=True)


def fill(
    method: str | None,
    photo: Mapping[str, Any] | None,
    look: str,
    start: Start | None,
    first_seed: object,
    samples: object,
    hole: object,
    random_seed: object,
    *numbers: object,
) -> Generator[list[Any]]:
    """Fills the hole and shows it being drawn: [results, status, Result, fill button, stop button].

    numbers: the four edges of the box, then the sliders. Sliders count only for the picture and hole they were drawn
    for, and only where they were moved.
    """
    edges, sliders = numbers[:4], numbers[4:]
    yield [gr.skip(), render.progress_line("Getting ready…", 0.0), gr.skip(), gr.skip(), gr.skip()]
    try:
        path, name = photo_path(photo), hole_name(hole, random_seed, edges)
        frame, mask = read_frame(path), hole_mask(name)
        first = whole(first_seed, "The seed", 0, MAX_SEED)
        seeds = tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))
        loaded = engine.load(method)
        controls: dict[str, float] = {}
        options: dict[str, float] = {}
        if start is not None and start.subject == (loaded.name, path, name):
            controls = moved(engine.offered(loaded), start.values, sliders[:MAX_CONTROLS])
            options = moved(loaded.options[:MAX_OPTIONS], start.values, sliders[MAX_CONTROLS:])
        yield from _draw(loaded.name, frame, mask, seeds, controls, options, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle()]


def _draw(
    method: str,
    frame: Image.Image,
    mask: np.ndarray,
    seeds: tuple[int, ...],
    controls: Mapping[str, float],
    options: Mapping[str, float],
    crisp: bool,
) -> Iterator[list[Any]]:
    from ..complete import complete_frame

    shown = 0.0
    with closing(complete_frame(frame, mask, method, seeds, controls, options)) as steps:  # type: ignore[type-var]
        for step in steps:
            result = Result(tuple(step.pictures), seeds, step.progress)
            if step.progress < 1.0 and time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                line = render.progress_line("Filling the hole…", step.progress)
                yield [render.running_view(result, crisp), line, result, gr.skip(), gr.skip()]
                shown = time.monotonic()
    bits = tuple(step.info.get("bits_per_dim", ()))
    result = Result(result.pictures, seeds, 1.0, bits)
    done = render.finished_line(len(seeds), step.info["seconds"], bits)
    yield [render.result_view(result, crisp), done, result, *_idle()]


def _idle() -> tuple[Any, Any]:
    """The fill and the stop button while nothing runs."""
    return gr.update(interactive=True), gr.update(interactive=False)


def stop(result: Result | None) -> list[Any]:
    """What follows a fill that was stopped: [status, fill button, stop button]."""
    line = f"Stopped at {round(100 * result.progress)} %." if result and result.progress < 1.0 else "Stopped."
    return [render.plain_line(line), *_idle()]


def show_result(result: Result | None, look: str) -> str:
    """The current result in the look that is chosen."""
    return render.result_view(result, look == CRISP)

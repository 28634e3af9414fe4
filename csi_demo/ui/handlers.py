"""What happens when a visitor does something. Every value from the browser is checked here, none by the components."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder
from PIL import Image

from ..faces import FRAME
from . import engine, painter, photo, render
from .engine import MAX_CONTROLS, MAX_OPTIONS, PageError
from .examples import all_examples
from .photo import KEPT, Photo
from .render import Result

if TYPE_CHECKING:
    from ..methods import Control

CRISP, SMOOTH = "Crisp", "Smooth"
IN_PHOTO, IN_FRAME = "In the photo", "64x64"
MAX_SAMPLES = 8
MAX_SEED = 2**31 - 1
SECONDS_BETWEEN_UPDATES = 0.1
PRESETS = {
    "Eyes": "eyes",
    "Nose": "nose",
    "Mouth": "mouth",
    "Left half": "left",
    "Right half": "right",
    "Upper half": "top",
    "Lower half": "bottom",
    "Centre": "center",
    "All": "full",
}


@dataclass(frozen=True)
class Subject:
    """What a fill is about: a photo, and the hole in its view cut to the frame."""

    photo: Photo
    mask: np.ndarray
    cut: bool  # the visitor painted outside the frame, too

    @property
    def frame_mask(self) -> np.ndarray:
        """The hole in the 64x64 frame."""
        return self.photo.view_place.frame_mask(self.mask)

    def key(self, method: str) -> tuple[str, str, str, str]:
        """Two subjects have the same one when their sliders start alike."""
        hole = hashlib.sha256(self.frame_mask.tobytes()).hexdigest()
        return method, self.photo.key, str(self.photo.place), hole


@dataclass(frozen=True)
class Start:
    """Where the sliders stood before the visitor moved any, and for what: a subject's key."""

    subject: tuple[str, str, str, str]
    values: dict[str, float]


def whole(value: object, what: str, low: int, high: int) -> int:
    """The value as a whole number from low to high. Raises PageError."""
    if not isinstance(value, int | float) or value != value or not low <= value <= high or value != int(value):
        raise PageError(f"{what} is a whole number from {low} to {high}.")
    return int(value)


def read_photo(painting: object) -> Photo:
    """The photo that the painter shows. Raises PageError."""
    return photo.kept(painter.read(painting).get("photo"))


def read_subject(painting: object) -> Subject:
    """Photo and hole of what the painter sends. Raises PageError."""
    content = painter.read(painting)
    shown = photo.kept(content.get("photo"))
    mask, cut = shown.cut(painter.to_mask(content, shown.view.size))
    return Subject(shown, mask, cut)


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


def _shown(picture: Photo, *, view: bool = True, mask: np.ndarray | None = None) -> list[Any]:
    """What shows a photo and its frame: [painter, face choice, X, Y, size, turn]."""
    faces = len(picture.faces)
    note = ""
    if view and not faces:
        note = photo.NO_FACE
    elif view and faces > 1:
        note = f"{faces} faces were found. The first is chosen; choose another one below."
    places = picture.places
    scene = painter.scene(
        picture.key,
        picture.view.size,
        [picture.on_view(place).corners for place in places],
        places.index(picture.place),
        {label: picture.preset(name) for label, name in PRESETS.items()},
        view=render.view_url(picture.view) if view else None,
        mask=mask,
        note=note,
    )
    chosen = picture.chosen
    return [
        scene,
        gr.update(
            choices=[str(number) for number in range(1, faces + 1)],
            value=None if chosen is None else str(chosen + 1),
            visible=faces > 1 or (faces == 1 and chosen is None),
        ),
        *(round(number, 1) for number in (picture.place.x, picture.place.y, picture.place.size, picture.place.angle)),
    ]


def _refused(error: ValueError) -> list[Any]:
    """Tells the visitor in the painter, and leaves the rest as it is."""
    return [painter.trouble(str(error)), *[gr.skip()] * 5]


def take_upload(painting: object) -> list[Any]:
    """Shows a photo that has just been sent; see `_shown`."""
    try:
        return _shown(photo.from_bytes(photo.receive(painter.read(painting).get("upload"))))
    except PageError as error:
        return _refused(error)


def choose_face(painting: object, face: object) -> list[Any]:
    """Moves the frame to one of the faces; see `_shown`."""
    try:
        picture = read_photo(painting)
        index = int(face) - 1 if isinstance(face, str) and face.isdecimal() else -1
        if not 0 <= index < len(picture.faces):
            raise PageError("Choose one of the faces that are numbered in the photo.")
        return _shown(picture.placed(picture.faces[index]), view=False)
    except PageError as error:
        return _refused(error)


def place_by_hand(painting: object, x: object, y: object, size: object, turn: object) -> list[Any]:
    """Moves the frame to where the numbers say: [painter, face choice]."""
    try:
        picture = read_photo(painting)
        return _shown(picture.placed(photo.by_hand(picture, x, y, size, turn)), view=False)[:2]
    except PageError as error:
        return _refused(error)[:2]


def open_example(index: int) -> list[Any]:
    """Opens an example: [painter, face choice, X, Y, size, turn, seed, samples, method]."""
    if not 0 <= index < len(all_examples()):
        return [gr.skip()] * 9
    example = all_examples()[index]
    try:
        picture = example.open()
        shown = _shown(picture, mask=picture.preset(example.hole))
    except PageError as error:
        return [*_refused(error), *[gr.skip()] * 3]
    return [*shown, example.seed, example.samples, example.method or gr.skip()]


def first_example() -> list[Any]:
    """What the page starts with; see `open_example`."""
    return open_example(0)


def choose_example(event: gr.EventData) -> list[Any]:
    """Opens the example that was clicked; see `open_example`."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    return open_example(index if isinstance(index, int) else -1)


def show_masked(painting: object, look: str) -> str:
    """The frame with its hole as the model gets it, or what keeps it from being shown."""
    try:
        content = painter.read(painting)
        if "upload" in content or "trouble" in content:
            return gr.skip()
        shown = photo.kept(content.get("photo"))
        mask = painter.to_mask(content, shown.view.size)
        within = mask | shown.preset("full")
        hole = np.ones((FRAME, FRAME), dtype=bool) if within.all() else shown.view_place.frame_mask(within)
    except PageError as error:
        return render.trouble(str(error))
    return render.masked_view(shown.frame, hole, look == CRISP)


def draw_sliders(method: str | None, painting: object) -> list[Any]:
    """A slider for every control and option the method declares, at its start: [Start, note, *sliders]."""
    try:
        loaded = engine.load(method)
    except PageError as error:
        return [None, render.trouble(str(error)), *[gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)]
    try:
        subject = read_subject(painting)
    except PageError:
        return [gr.skip()] * (2 + MAX_CONTROLS + MAX_OPTIONS)
    from ..complete import start_values

    controls, options = engine.offered(loaded), loaded.options[:MAX_OPTIONS]
    inferred = start_values(subject.photo.frame, subject.frame_mask, loaded.name)
    values = {control.name: on_grid(control, inferred.get(control.name, control.default)) for control in controls}
    values |= {option.name: on_grid(option, option.default) for option in options}
    start = Start(subject.key(loaded.name), values)
    suggested = subject.photo.suggested(subject.mask)
    known = (*controls, *options)
    shown = values | {one.name: on_grid(one, suggested[one.name]) for one in known if one.name in suggested}
    note = "The sliders start where your picture stands. Move one, then fill again: only what it means changes."
    return [
        start,
        render.plain_line(note if controls else "This method has no sliders."),
        *_slots(controls, MAX_CONTROLS, shown),
        *_slots(options, MAX_OPTIONS, shown),
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


def begin() -> list[Any]:
    """What a fill shows until its turn comes: [status, fill, stop]."""
    line = render.progress_line("Waiting for a free place…", 0.0)
    return [line, gr.update(interactive=False), gr.update(interactive=True)]


def fill(
    method: str | None,
    painting: object,
    look: str,
    where: str,
    start: Start | None,
    first_seed: object,
    samples: object,
    *sliders: object,
) -> Generator[list[Any]]:
    """Fills the hole and shows it being drawn: [results, status, result's key, fill, stop, download, use].

    Sliders count only for the photo and hole they were drawn for, and only where they were moved.
    """
    yield [gr.skip(), render.progress_line("Getting ready…", 0.0), *[gr.skip()] * 5]
    try:
        subject = read_subject(painting)
        first = whole(first_seed, "The seed", 0, MAX_SEED)
        seeds = tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))
        loaded = engine.load(method)
        controls: dict[str, float] = {}
        options: dict[str, float] = {}
        if start is not None and start.subject == subject.key(loaded.name):
            controls = moved(engine.offered(loaded), start.values, sliders[:MAX_CONTROLS])
            options = moved(loaded.options[:MAX_OPTIONS], start.values, sliders[MAX_CONTROLS:])
        yield from _draw(loaded.name, subject, seeds, controls, options, where == IN_PHOTO, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle(), *[gr.skip()] * 2]


def _draw(
    method: str,
    subject: Subject,
    seeds: tuple[int, ...],
    controls: Mapping[str, float],
    options: Mapping[str, float],
    in_photo: bool,
    crisp: bool,
) -> Iterator[list[Any]]:
    from ..complete import complete_frame

    shown, key = 0.0, None
    picture, mask = subject.photo, subject.frame_mask
    with closing(complete_frame(picture.frame, mask, method, seeds, controls, options)) as steps:  # type: ignore[type-var]
        for step in steps:
            result = Result(picture, subject.mask, tuple(step.pictures), seeds, step.progress)
            if step.progress < 1.0 and time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                line = render.progress_line("Filling the hole…", step.progress)
                key = KEPT.put(result, result.cost, key)
                unfinished = [gr.update(interactive=False)] * 2
                yield [render.running_view(result, crisp), line, key, *[gr.skip()] * 2, *unfinished]
                shown = time.monotonic()
    bits = tuple(step.info.get("bits_per_dim", ()))
    result = replace(result, progress=1.0, bits=bits, **_views(subject, result.pictures))
    note = "What was painted outside the square is left as it was." if subject.cut else ""
    done = render.finished_line(len(seeds), step.info["seconds"], bits, note)
    key = KEPT.put(result, result.cost, key)
    yield [render.result_view(result, in_photo, crisp), done, key, *_idle(), *[gr.update(interactive=True)] * 2]


def _views(subject: Subject, pictures: Sequence[Image.Image]) -> dict[str, Any]:
    """The photo's view before and after, as `Result` keeps them."""
    view, place = subject.photo.view, subject.photo.view_place
    after = [render.view_url(place.paste(view, subject.mask, picture), render.RESULT_SIDE) for picture in pictures]
    return {"before": render.view_url(view, render.RESULT_SIDE), "views": tuple(after)}


def _idle() -> tuple[Any, Any]:
    """The fill and the stop button while nothing runs."""
    return gr.update(interactive=True), gr.update(interactive=False)


def stop(key: object) -> list[Any]:
    """What follows a fill that was stopped: [status, fill, stop]."""
    result = kept_result(key)
    line = f"Stopped at {round(100 * result.progress)} %." if result and result.progress < 1.0 else "Stopped."
    return [render.plain_line(line), *_idle()]


def kept_result(key: object) -> Result | None:
    """The result of this key, if it is still there."""
    result = KEPT.get(key)
    return result if isinstance(result, Result) else None


def finished_result(key: object) -> Result:
    """The finished result of this key. Raises PageError."""
    result = kept_result(key)
    if result is None or not result.views:
        raise PageError("This result is no longer here: fill the hole again.")
    return result


def show_result(key: object, look: str, where: str) -> str:
    """The current result in the look that is chosen."""
    return render.result_view(kept_result(key), where == IN_PHOTO, look == CRISP)


def choose_sample(key: object, event: gr.EventData) -> None:
    """Remembers which sample is shown large."""
    result = kept_result(key)
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if result and isinstance(index, int) and 0 <= index < len(result.seeds):
        KEPT.put(replace(result, chosen=index), result.cost, key)  # type: ignore[arg-type]


def save(key: object) -> list[Any]:
    """The chosen sample at the photo's own size, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        name = f"csi-seed-{result.seeds[result.chosen]}.png"
        return [gr.skip(), save_bytes_to_cache(render.png(result.full()), name, get_upload_folder())]
    except ValueError as error:
        return [render.trouble(str(error)), None]


def use_result(key: object) -> list[Any]:
    """Makes the chosen sample the photo: [status, painter, face choice, X, Y, size, turn]."""
    try:
        result = finished_result(key)
        picture = photo.from_bytes(render.png(result.full()), like=result.photo)
    except ValueError as error:
        return [render.trouble(str(error)), *[gr.skip()] * 6]
    return [render.plain_line("The result is the photo now. Paint the next hole."), *_shown(picture)]

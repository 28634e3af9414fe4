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

from ..faces import FRAME
from ..methods import CompletionError
from . import comparison, engine, painter, photo, render
from .comparison import Reel
from .engine import MAX_CONTROLS, MAX_OPTIONS, PageError
from .examples import all_examples
from .photo import KEPT, Photo
from .render import Result, Sample

if TYPE_CHECKING:
    from ..complete import FrameStep
    from ..methods import Control, Method

CRISP, SMOOTH = "Crisp", "Smooth"
IN_PHOTO, IN_FRAME = "In the photo", "64x64"
MAX_SAMPLES = 8
MAX_SEED = 2**31 - 1
SECONDS_BETWEEN_UPDATES = 0.1
FOLLOWING = 4  # buttons that do something with a complete result
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


Settings = tuple[Mapping[str, float], Mapping[str, float]]  # controls and options, name -> value


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
    """A slider or checkbox for every control and option the method declares, at its start: [Start, note, *slots]."""
    try:
        loaded = engine.load(method)
    except PageError as error:
        return [None, render.trouble(str(error)), *[gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)]
    try:
        subject = read_subject(painting)
    except PageError:
        return [gr.skip()] * (2 + MAX_CONTROLS + MAX_OPTIONS)
    from ..complete import start_values

    inferred = start_values(subject.photo.frame, subject.frame_mask, loaded.name)
    slots = engine.slots(loaded)
    known = [slot for slot in slots if slot]
    values = {one.name: on_grid(one, inferred.get(one.name, one.default)) for one in known}
    start = Start(subject.key(loaded.name), values)
    suggested = subject.photo.suggested(subject.mask)
    shown = values | {one.name: on_grid(one, suggested[one.name]) for one in known if one.name in suggested}
    note = "The sliders start where your picture stands. Move one, then fill again: only what it means changes."
    return [
        start,
        render.plain_line(note if loaded.controls else loaded.description),
        *(_drawn(slot, shown[slot.name]) if slot else gr.update(visible=False) for slot in slots),
    ]


def _drawn(control: Control, value: float) -> Any:
    shown: dict[str, Any] = {"label": control.label, "info": control.help, "visible": True}
    if control.switch:
        return gr.update(value=bool(value), **shown)
    return gr.update(value=value, minimum=control.minimum, maximum=control.maximum, step=control.step, **shown)


def reset_sliders(start: Start | None) -> list[Any]:
    """Every slider and checkbox back at its start."""
    if start is None:
        return [gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)
    slots = engine.slots(engine.load(start.subject[0]))
    return [_drawn(slot, start.values[slot.name]) if slot else gr.skip() for slot in slots]


def begin() -> list[Any]:
    """What a fill or a comparison shows until its turn comes: [status, fill, compare, stop]."""
    line = render.progress_line("Waiting for a free place…", 0.0)
    return [line, *[gr.update(interactive=False)] * 2, gr.update(interactive=True)]


def fill(
    method: str | None,
    painting: object,
    look: str,
    where: str,
    start: Start | None,
    first_seed: object,
    samples: object,
    *values: object,
) -> Generator[list[Any]]:
    """Fills the hole and shows it being drawn: [results, status, result's key, fill, compare, stop, *what follows].

    values: of the slots; they count only for the photo and hole they were drawn for, and only where they were moved.
    What follows: the buttons that do something with a complete result.
    """
    yield _getting_ready()
    try:
        subject = read_subject(painting)
        first = whole(first_seed, "The seed", 0, MAX_SEED)
        seeds = tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))
        loaded = engine.load(method)
        controls, options = _settings(loaded, subject, start, values)
        yield from _fill(loaded, subject, seeds, controls, options, where == IN_PHOTO, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


def compare(
    method: str | None,
    painting: object,
    look: str,
    where: str,
    start: Start | None,
    seed: object,
    *values: object,
) -> Generator[list[Any]]:
    """Fills the hole once by every method, one after another, and shows the fills side by side; outputs as of `fill`.

    values: of the slots, for the method that is chosen; the others run at their defaults.
    """
    yield _getting_ready()
    try:
        subject = read_subject(painting)
        number = whole(seed, "The seed", 0, MAX_SEED)
        chosen = engine.load(method)
        settings = {chosen.name: _settings(chosen, subject, start, values)}
        yield from _compare(subject, number, settings, where == IN_PHOTO, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


def _settings(loaded: Method, subject: Subject, start: Start | None, values: Sequence[object]) -> Settings:
    """The controls and the options that the visitor moved. Raises ControlError."""
    if start is None or start.subject != subject.key(loaded.name):
        return {}, {}
    slots = [(slot, value) for slot, value in zip(engine.slots(loaded), values, strict=False) if slot]
    changed = moved([slot for slot, _ in slots], start.values, [value for _, value in slots])
    names = {control.name for control in loaded.controls}
    controls = {name: value for name, value in changed.items() if name in names}
    return controls, {name: value for name, value in changed.items() if name not in names}


def _run(
    loaded: Method, subject: Subject, seeds: Sequence[int], controls: Mapping[str, float], options: Mapping[str, float]
) -> Generator[tuple[tuple[Sample, ...], float]]:
    """The samples as they are drawn, and how far they are. Raises CompletionError."""
    from ..complete import complete_frame

    reel = Reel()
    frame, mask = subject.photo.frame, subject.frame_mask
    with closing(complete_frame(frame, mask, loaded.name, seeds, controls, options)) as steps:  # type: ignore[type-var]
        for step in steps:
            reel.add(step.pictures, step.progress)
            samples = (_sample(loaded.label, seed, index, step, reel) for index, seed in enumerate(seeds))
            yield tuple(samples), step.progress


def _sample(label: str, seed: int, index: int, step: FrameStep, reel: Reel) -> Sample:
    beside = {name: pictures[index] for name, pictures in step.views.items()}
    figures = step.info["figures"][index] if "figures" in step.info else {}
    return Sample(label, seed, reel.frames(index), beside, figures, step.info.get("seconds"))


def _fill(
    loaded: Method,
    subject: Subject,
    seeds: tuple[int, ...],
    controls: Mapping[str, float],
    options: Mapping[str, float],
    in_photo: bool,
    crisp: bool,
) -> Iterator[list[Any]]:
    shown, key = 0.0, None
    result: Result | None = None
    try:
        with closing(_run(loaded, subject, seeds, controls, options)) as moments:
            for samples, progress in moments:
                result = Result(subject.photo, subject.mask, samples, progress)
                if progress < 1.0 and time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                    line = render.progress_line("Filling the hole…", progress)
                    key = KEPT.put(result, result.cost, key)
                    yield _running(render.running_view(result, crisp), line, key)
                    shown = time.monotonic()
    except CompletionError as error:
        if result is None:
            raise PageError(f"{loaded.label} gave up: {error}.") from None
        line = render.trouble(f"{loaded.label} gave up: {error}. What it had reached is shown.")
        key = KEPT.put(result, result.cost, key)
        yield [render.running_view(result, crisp), line, key, *_idle(), *[gr.update(interactive=False)] * FOLLOWING]
        return
    result = Result(subject.photo, subject.mask, samples, 1.0, **_views(subject, samples))
    key = KEPT.put(result, result.cost, key)
    yield _finished(result, render.finished_line(samples, _cut(subject)), key, in_photo, crisp)


def _compare(
    subject: Subject, seed: int, settings: Mapping[str, Settings], in_photo: bool, crisp: bool
) -> Iterator[list[Any]]:
    began, shown, key = time.monotonic(), 0.0, None
    finished: tuple[Sample, ...] = ()
    troubles: list[str] = []
    choices = engine.method_choices()
    for place, (label, name) in enumerate(choices):
        waiting = [label for label, _ in choices[place + 1 :]]
        now: tuple[Sample, ...] = ()
        try:
            loaded = engine.load(name)
            with closing(_run(loaded, subject, (seed,), *settings.get(loaded.name, ({}, {})))) as moments:
                for now, progress in moments:
                    if time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                        overall = (place + progress) / len(choices)
                        result = Result(subject.photo, subject.mask, finished + now, min(overall, 0.99), compared=True)
                        key = KEPT.put(result, result.cost, key)
                        view = render.running_view(result, crisp, waiting)
                        yield _running(view, render.progress_line(f"{label}…", overall), key)
                        shown = time.monotonic()
        except (PageError, CompletionError) as error:
            troubles.append(f"{label} gave up: {str(error).rstrip('.')}.")
            now = tuple(replace(sample, flaw="gave up on the way") for sample in now)
        finished += now
    if not finished:
        raise PageError(" ".join(troubles))
    result = Result(subject.photo, subject.mask, finished, 1.0, compared=True, **_views(subject, finished))
    key = KEPT.put(result, result.cost, key)
    line = render.compared_line(result, time.monotonic() - began, _cut(subject))
    line += render.trouble(" ".join(troubles)) if troubles else ""
    yield _finished(result, line, key, in_photo, crisp)


def _getting_ready() -> list[Any]:
    return [gr.skip(), render.progress_line("Getting ready…", 0.0), *[gr.skip()] * (4 + FOLLOWING)]


def _running(view: str, line: str, key: str) -> list[Any]:
    return [view, line, key, *[gr.skip()] * 3, *[gr.update(interactive=False)] * FOLLOWING]


def _finished(result: Result, line: str, key: str, in_photo: bool, crisp: bool) -> list[Any]:
    view = render.result_view(result, in_photo, crisp)
    return [view, line, key, *_idle(), *[gr.update(interactive=True)] * FOLLOWING]


def _cut(subject: Subject) -> str:
    return "What was painted outside the square is left as it was." if subject.cut else ""


def _views(subject: Subject, samples: Sequence[Sample]) -> dict[str, Any]:
    """The photo's view before and after, as `Result` keeps them."""
    view, place = subject.photo.view, subject.photo.view_place
    pasted = (place.paste(view, subject.mask, sample.picture) for sample in samples)
    after = [render.view_url(picture, render.RESULT_SIDE) for picture in pasted]
    return {"before": render.view_url(view, render.RESULT_SIDE), "views": tuple(after)}


def _idle() -> tuple[Any, Any, Any]:
    """The fill, the compare and the stop button while nothing runs."""
    return gr.update(interactive=True), gr.update(interactive=True), gr.update(interactive=False)


def stop(key: object) -> list[Any]:
    """What follows a fill or comparison that was stopped: [status, fill, compare, stop]."""
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
    if result and isinstance(index, int) and 0 <= index < len(result.samples):
        KEPT.put(replace(result, chosen=index), result.cost, key)  # type: ignore[arg-type]


def save(key: object) -> list[Any]:
    """The chosen sample at the photo's own size, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        return _download(render.png(result.full()), f"csi-seed-{result.seeds[result.chosen]}.png")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def save_strip(key: object, look: str) -> list[Any]:
    """The result as one labelled picture, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        picture = comparison.strip(result.strip_tiles(look == CRISP), look == CRISP)
        return _download(render.png(picture), f"{_name(result)}.png")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def save_animation(key: object, look: str) -> list[Any]:
    """How the result came about, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        moving = comparison.animation(result.animation_tiles(look == CRISP), look == CRISP)
        return _download(moving, f"{_name(result)}.gif")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def _name(result: Result) -> str:
    return f"csi-{'comparison' if result.compared else 'fills'}-seed-{result.seeds[0]}"


def _download(data: bytes, name: str) -> list[Any]:
    return [gr.skip(), save_bytes_to_cache(data, name, get_upload_folder())]


def use_result(key: object) -> list[Any]:
    """Makes the chosen sample the photo: [status, painter, face choice, X, Y, size, turn]."""
    try:
        result = finished_result(key)
        picture = photo.from_bytes(render.png(result.full()), like=result.photo)
    except ValueError as error:
        return [render.trouble(str(error)), *[gr.skip()] * 6]
    return [render.plain_line("The result is the photo now. Paint the next hole."), *_shown(picture)]

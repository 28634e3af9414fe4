"""Filling the hole, by one method or by all of them, while the visitor watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import astuple, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import gradio as gr

from ..errors import CompletionError, PageError
from . import engine, render
from .comparison import Reel
from .engine import MAX_SAMPLES, MAX_SEED
from .examples import Example, hole_name
from .photo import KEPT
from .render import Result, Sample
from .results import CRISP, IN_PHOTO, kept_result
from .subject import Start, Subject, moved, read_subject, whole

if TYPE_CHECKING:
    from ..complete import FrameStep
    from ..methods import Method

SECONDS_BETWEEN_UPDATES = 0.1
Settings = tuple[Mapping[str, float], Mapping[str, float]]  # controls and options, name -> value
QUICK = 0.3  # seconds that a fill may go on for although its sliders have moved on
FOLLOWING = 4  # buttons that do something with a complete result


@dataclass
class Run:
    """Work under way for a visitor: what is kept under the key that the page holds."""

    began: float = field(default_factory=time.monotonic)
    stopped: bool = False  # by the stop button
    outdated: bool = False  # by a slider
    result: str | None = None  # the key of what the visitor has, until the next result takes its place


def _run_under(key: object) -> str:
    """The key of a fresh run, in the place of the visitor's last one, which ends if it has not yet."""
    before = KEPT.get(key)
    if not isinstance(before, Run):
        return KEPT.put(Run(), 64)
    before.outdated = True
    return KEPT.put(Run(result=before.result), 64, key)  # type: ignore[arg-type]


def begin(key: object) -> list[Any]:
    """What a fill or a comparison shows until its turn comes: [run, status, fill, compare, stop]."""
    line = render.progress_line("Waiting for a free place…", 0.0)
    return [_run_under(key), line, *[gr.update(interactive=False)] * 2, gr.update(interactive=True)]


def stop(key: object) -> Any:
    """Ends a run at its next update: the stop button."""
    run = KEPT.get(key)
    if isinstance(run, Run):
        run.stopped = True
    return gr.update(interactive=False)


def turned_away() -> list[Any]:
    """What a fill or a comparison shows that did not come about, most likely for want of a place in the queue."""
    line = render.trouble("Too many are waiting at the moment. Please try again in a minute.")
    return [gr.skip(), line, gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


def outdate(key: object, method: str | None) -> None:
    """A slider has moved: a run that takes long ends at its next row, since `refill` is to come."""
    run = KEPT.get(key)
    with suppress(PageError):
        if isinstance(run, Run) and time.monotonic() - run.began >= QUICK and engine.load(method).live:
            run.outdated = True


def stoppable(work: Callable[..., Generator[list[Any]]]) -> Callable[..., Generator[list[Any]]]:
    """`fill` or `compare` with the key that `begin` gave as first argument; ends between two updates after `stop`.

    Cancelling the event instead would leave it to chance whether the browser shows an update that was under way last.
    """

    def until_stopped(key: object, *values: object) -> Generator[list[Any]]:
        run = KEPT.get(key)
        yield from _until_stopped(run if isinstance(run, Run) else Run(), work(*values), values[2] == CRISP)

    return until_stopped


def _until_stopped(run: Run, work: Generator[list[Any]], crisp: bool) -> Generator[list[Any]]:
    key: object = None
    with closing(work) as updates:
        while True:
            if isinstance(key, str) and key != run.result:  # the page has it since the last update
                KEPT.drop(run.result)
                run.result = key
            if run.outdated:
                yield [*[gr.skip()] * 3, *_idle(), *[gr.skip()] * FOLLOWING]
                return
            if run.stopped:
                result = kept_result(key)
                if result is None or result.progress < 1.0:
                    yield _stopped(result, crisp)
                return
            update = next(updates, None)
            if update is None:
                return
            key = update[2] if isinstance(update[2], str) else key
            yield update


def _stopped(result: Result | None, crisp: bool) -> list[Any]:
    line = f"Stopped at {round(100 * result.progress)} %." if result else "Stopped."
    view = render.running_view(result, crisp) if result else gr.skip()
    return [view, render.plain_line(line), gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


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
        loaded = engine.load(method)
        settings = _settings(loaded, subject, start, values)
        yield from _fill(loaded, subject, _seeds(first_seed, samples), *settings, where == IN_PHOTO, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


def refill(
    key: object,
    method: str | None,
    painting: object,
    look: str,
    where: str,
    start: Start | None,
    first_seed: object,
    samples: object,
    *values: object,
) -> Generator[list[Any]]:
    """Fills the hole anew since a slider has moved, without a word unless it takes long: [run, *outputs of `fill`].

    Leaves all as it is for a method that is not live, for values that belong to another photo or hole, or where
    something is wrong, which the fill button tells.
    """
    try:
        subject, loaded = read_subject(painting), engine.load(method)
        if not loaded.live or not isinstance(start, Start) or start.subject != subject.key(loaded.name):
            yield [gr.skip()] * (7 + FOLLOWING)  # a generator that yields nothing would empty its outputs
            return
        seeds, settings = _seeds(first_seed, samples), _settings(loaded, subject, start, values)
    except ValueError:
        yield [gr.skip()] * (7 + FOLLOWING)
        return
    key = _run_under(key)
    work = _fill(loaded, subject, seeds, *settings, where == IN_PHOTO, look == CRISP, patience=QUICK)
    for update in _until_stopped(KEPT.get(key), work, look == CRISP):
        yield [key, *update]


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


def fill_linked(example: Example | None, painting: object, look: str, where: str) -> Generator[list[Any]]:
    """Fills what a link asks for, once it is open; outputs as of `fill`. Leaves all as it is without one."""
    if example is None:
        yield [gr.skip()] * (6 + FOLLOWING)
        return
    yield _getting_ready()
    try:
        subject, loaded = read_subject(painting), engine.load(example.method)
        names = {option.name for option in loaded.options}
        options = {name: value for name, value in example.settings.items() if name in names}
        controls = {name: value for name, value in example.settings.items() if name not in names}
        seeds = _seeds(example.seed, example.samples)
        yield from _fill(loaded, subject, seeds, controls, options, where == IN_PHOTO, look == CRISP)
    except ValueError as error:
        yield [gr.skip(), render.trouble(str(error)), gr.skip(), *_idle(), *[gr.skip()] * FOLLOWING]


def _link(
    subject: Subject,
    loaded: Method,
    seeds: Sequence[int],
    controls: Mapping[str, float],
    options: Mapping[str, float],
) -> str:
    """The query that asks for this fill again; "" for a visitor's own photo."""
    shown = subject.photo
    if not shown.example:
        return ""
    moved = shown.place != shown.faces[0] if shown.faces else True
    return Example(
        photo=shown.example,
        title="",
        hole=hole_name(shown, subject.mask),
        seed=seeds[0],
        samples=len(seeds),
        method=loaded.name,
        settings={**controls, **options},
        place=",".join(repr(number) for number in astuple(shown.place)) if moved else "",
    ).link()


def _seeds(first_seed: object, samples: object) -> tuple[int, ...]:
    """One for each sample. Raises PageError."""
    first = whole(first_seed, "The seed", 0, MAX_SEED)
    return tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))


def _settings(loaded: Method, subject: Subject, start: Start | None, values: Sequence[object]) -> Settings:
    """The controls and the options that the visitor moved. Raises ControlError."""
    if not isinstance(start, Start) or start.subject != subject.key(loaded.name):
        return {}, {}
    slots = [(slot, value) for slot, value in zip(start.slots, values, strict=False) if slot]
    changed = moved([slot for slot, _ in slots], start.values, [value for _, value in slots])
    names = {control.name for control in loaded.controls}
    controls = {name: value for name, value in changed.items() if name in names}
    return controls, {name: value for name, value in changed.items() if name not in names}


def _run(
    loaded: Method, subject: Subject, seeds: Sequence[int], controls: Mapping[str, float], options: Mapping[str, float]
) -> Generator[tuple[tuple[Sample, ...], float]]:
    """The samples as they are drawn, and how far they are. Raises CompletionError."""
    reel = Reel()
    frame, mask = subject.photo.frame, subject.frame_mask
    with closing(engine.complete(loaded, frame, mask, seeds, controls, options)) as steps:
        for step in steps:
            reel.add(step.pictures, step.progress)
            samples = (_sample(loaded.label, seed, index, step, reel) for index, seed in enumerate(seeds))
            yield tuple(samples), step.progress


def _sample(label: str, seed: int, index: int, step: FrameStep, reel: Reel) -> Sample:
    beside = {name: pictures[index] for name, pictures in step.views.items()}
    figures = step.info["figures"][index] if "figures" in step.info else {}
    return Sample(label, seed, reel.film(index), beside, figures, step.info.get("seconds"))


def _fill(
    loaded: Method,
    subject: Subject,
    seeds: tuple[int, ...],
    controls: Mapping[str, float],
    options: Mapping[str, float],
    in_photo: bool,
    crisp: bool,
    patience: float = 0.0,  # seconds before anything unfinished is shown
) -> Generator[list[Any]]:
    shown, key = time.monotonic() + patience - SECONDS_BETWEEN_UPDATES, None
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
    link = _link(subject, loaded, seeds, controls, options)
    result = Result(subject.photo, subject.mask, samples, 1.0, before=_before(subject), link=link)
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
    result = Result(subject.photo, subject.mask, finished, 1.0, compared=True, before=_before(subject))
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


def _before(subject: Subject) -> str:
    """The photo's view, as `Result` keeps it."""
    return render.view_url(subject.photo.view, render.RESULT_SIDE)


def _idle() -> tuple[Any, Any, Any]:
    """The fill, the compare and the stop button while nothing runs."""
    return gr.update(interactive=True), gr.update(interactive=True), gr.update(interactive=False)

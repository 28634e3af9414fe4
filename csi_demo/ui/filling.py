"""Filling the hole, by one method or by all of them, while the visitor watches."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from ..complete import FrameStep, Request
from ..errors import CompletionError, PageError
from ..photo.sheets import Reel
from . import comparing, engine, painter, render, sharing
from .background import in_background
from .engine import MAX_SEED
from .examples import Example
from .fills import Display, Result, Sample
from .inputs import Order, PageInputs
from .photo import KEPT
from .results import chosen_display, kept_result
from .subject import Painted, read_painting, whole
from .wiring import Update

SECONDS_BETWEEN_UPDATES = 0.1
QUICK = 0.3  # seconds that a fill that follows the sliders may take until it is said that it runs
KEPT_RESULTS = 12  # of a visitor


@dataclass
class Run:
    """Work under way for a visitor: what is kept under the key that the page holds.

    results: the keys of what the visitor has, the latest last; steered: that of the one that follows the sliders, each
    move in the place of the last.
    """

    began: float = field(default_factory=time.monotonic)
    stopped: bool = False  # by the stop button
    outdated: bool = False  # by a slider
    results: tuple[str, ...] = ()
    steered: str | None = None

    def has(self, key: str) -> None:
        """The visitor has this result now; the oldest goes where there are too many."""
        self.results = (*(one for one in self.results if one != key), key)
        while len(self.results) > KEPT_RESULTS:
            KEPT.drop(self.results[0])
            self.results = self.results[1:]


def _run_under(key: object) -> str:
    """The key of a fresh run, in the place of the visitor's last one, which ends if it has not yet."""
    before = KEPT.get(key)
    if not isinstance(before, Run):
        return KEPT.put(Run(), 64)
    before.outdated = True
    return KEPT.put(Run(results=before.results, steered=before.steered), 64, key)  # type: ignore[arg-type]


def begin(key: object) -> Update:
    """What a fill or a comparison shows until its turn comes."""
    line, run = render.progress_line("Waiting for a free place…", 0.0), _run_under(key)
    KEPT.get(run).steered = None
    return {"run": run, "status": line}


def again(key: object, seed: object, samples: object) -> Update:
    """What a fill by the next seeds begins with."""
    following = seed + samples if type(seed) is int and type(samples) is int else 0
    return begin(key) | {"seed": following if 0 <= following <= MAX_SEED else 0}


def stop(key: object) -> Update:
    """Ends a run: the stop button."""
    run = KEPT.get(key)
    if isinstance(run, Run):
        run.stopped = True
    return {}


def end_steering(key: object) -> None:
    """The next slider that moves makes a result of its own."""
    run = KEPT.get(key)
    if isinstance(run, Run):
        run.steered = None


def turned_away() -> Update:
    """What a fill or a comparison shows that did not come about, most likely for want of a place in the queue."""
    return {"status": render.trouble("Too many are waiting at the moment. Please try again in a minute.")}


def outdate(key: object, method: str | None) -> None:
    """A slider has moved: a run that takes long ends at its next row, since `refill` is to come."""
    run = KEPT.get(key)
    with suppress(PageError):
        if isinstance(run, Run) and time.monotonic() - run.began >= QUICK and engine.load(method).live:
            run.outdated = True


def stoppable(work: Callable[[PageInputs], Generator[Update]]) -> Callable[..., Generator[Update]]:
    """`fill` or `compare` as an event calls it: with the key that `begin` gave and the values of `PageInputs.of`.

    It ends soon after `stop`, however long an update takes. Cancelling the event instead would leave it to chance
    whether the browser shows an update that was under way last.
    """

    def until_stopped(key: object, *values: Any) -> Generator[Update]:
        run, inputs = KEPT.get(key), PageInputs.of(*values)
        yield from _until_stopped(run if isinstance(run, Run) else Run(), work(inputs), inputs)

    return until_stopped


def compare_chosen(key: object, compared: object, *values: Any) -> Generator[Update]:
    """`compare` as an event calls it: with the names of the methods to run before the values of `PageInputs.of`."""
    run, inputs = KEPT.get(key), replace(PageInputs.of(*values), compared=compared)
    yield from _until_stopped(run if isinstance(run, Run) else Run(), compare(inputs), inputs)


def _until_stopped(run: Run, work: Generator[Update], inputs: PageInputs) -> Generator[Update]:
    key: str | None = None
    with closing(in_background(work, lambda: run.stopped)) as updates:
        while True:
            if key and key not in run.results[-1:]:  # the page has it since the last update
                run.has(key)
            if run.outdated:  # what comes in its place has the word
                yield {}
                return
            if run.stopped:
                result = kept_result(key)
                if result is None or not result.finished:
                    yield _stopped(result, inputs, key)
                return
            update = next(updates, None)
            if update is None and run.stopped:
                continue
            if update is None:
                return
            key = update.get("result", key)
            yield update


def fill(inputs: PageInputs) -> Generator[Update]:
    """Fills the hole and shows it being drawn: results, status, result's key, buttons."""
    yield _getting_ready(inputs.painting)
    try:
        yield from _fill(inputs.order(), inputs.display)
    except ValueError as error:
        yield _refused(error, inputs.painting)


def refill(key: object, *values: Any) -> Generator[Update]:
    """Fills the hole anew since a slider has moved; the run is a new one, and the fill before stands until it is
    complete.

    values: as of `PageInputs.of`. Fills nothing for a method that is not live, for values that belong to another photo
    or hole, or where something is wrong, which the fill button tells.
    """
    inputs = PageInputs.of(*values)
    try:
        order = inputs.order()
    except ValueError:
        order = None
    if order is None or not order.request.method.live or not inputs.own_start(order.painted, order.request.method):
        yield {"status": render.plain_line(painter.MOVED, painter.mark(inputs.painting))}
        return
    key = _run_under(key)
    run = KEPT.get(key)
    if run.steered is None or kept_result(run.steered) is None:
        run.steered = KEPT.put(None, 64)
    for update in _until_stopped(run, _fill(order, inputs.display, run.steered), inputs):
        yield {"run": key} | update


def compare(inputs: PageInputs) -> Generator[Update]:
    """Fills the hole once by every chosen method, one after another, and shows the fills side by side.

    The slots' values are for the method that is chosen; the others run at their defaults.
    """
    yield _getting_ready(inputs.painting)
    try:
        painted, number = read_painting(inputs.painting), whole(inputs.seed, "The seed", 0, MAX_SEED)
        choices, chosen = engine.compared(inputs.compared), engine.load(inputs.method)
        settings = {chosen.name: inputs.settings(painted, chosen)}
        yield from _compare(painted, number, choices, settings, inputs.display)
    except ValueError as error:
        yield _refused(error, inputs.painting)


def fill_linked(
    example: Example | None, painting: object, enlargement: object, where: object, refine: object
) -> Generator[Update]:
    """Fills what a link asks for, once it is open. Leaves all as it is without one."""
    if example is None:
        yield {}
        return
    try:
        painted, method = read_painting(painting), engine.load(example.method)
        if painted.photo.example != example.photo:  # a component opens its link after what its page has opened
            yield {}
            return
        yield _getting_ready(painting)
        order = Order.of(painted, method, example.seed, example.samples, example.settings)
        yield from _fill(order, chosen_display(enlargement, where, refine), likeliest=False)
    except ValueError as error:
        yield _refused(error, painting)


def drawn(request: Request) -> Generator[tuple[tuple[Sample, ...], float]]:
    """The samples as they are drawn, and how far they are. Raises CompletionError."""
    reel, label = Reel(), request.method.label
    with closing(engine.complete(request)) as steps:
        for step in steps:
            reel.add(step.pictures, step.progress)
            samples = (_sample(label, seed, index, step, reel) for index, seed in enumerate(request.seeds))
            yield tuple(samples), step.progress


def _sample(label: str, seed: int, index: int, step: FrameStep, reel: Reel) -> Sample:
    beside = {name: pictures[index] for name, pictures in step.views.items()}
    figures = step.info["figures"][index] if "figures" in step.info else {}
    return Sample(label, seed, reel.film(index), beside, figures, step.info.get("seconds"))


def _fill(order: Order, display: Display, replaced: str | None = None, likeliest: bool = True) -> Generator[Update]:
    """Fills what is ordered and shows it being drawn. replaced: the key of the result whose place this one takes, and
    which is shown until this one is complete; likeliest: shows that sample in the photo, not the first seed's."""
    painted, method, key = order.painted, order.request.method, replaced
    shown = time.monotonic() + (QUICK if replaced else 0.0) - SECONDS_BETWEEN_UPDATES
    result: Result | None = None
    try:
        with closing(drawn(order.request)) as moments:
            for samples, progress in moments:
                result = Result(painted.photo, painted.subject, samples, progress, edit=painted.edit)
                if progress < 1.0 and time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                    line = render.progress_line("Filling the hole…", progress, result.mark)
                    if replaced:
                        yield {"status": line}
                    else:
                        key = KEPT.put(result, result.cost, key)
                        yield _shown(key, render.running_view(result, display.crisp), line)
                    shown = time.monotonic()
    except CompletionError as error:
        if result is None:
            raise PageError(f"{method.label} gave up: {error}.") from None
        line = render.trouble(f"{method.label} gave up: {error}. What it had reached is shown.", result.mark)
        key = KEPT.put(result, result.cost, key)
        yield _shown(key, render.running_view(result, display.crisp), line)
        return
    result = Result(
        painted.photo,
        painted.subject,
        samples,
        1.0,
        link=order.link(),
        edit=painted.edit,
        settings={**order.request.controls, **order.request.options},
        method=method.name,
    )
    result = replace(result, chosen=result.order[0] if likeliest else 0)
    yield _finished(result, render.finished_line(samples, _cut(painted), result.mark), key, display)


def _compare(
    painted: Painted,
    seed: int,
    choices: Sequence[tuple[str, str]],
    settings: Mapping[str, Mapping[str, float]],
    display: Display,
) -> Iterator[Update]:
    """choices: label and name of the methods to run; settings: of a method by its name."""
    began, shown, key = time.monotonic(), 0.0, None
    finished: tuple[Sample, ...] = ()
    troubles: list[str] = []
    for place, (label, name) in enumerate(choices):
        waiting = [label for label, _ in choices[place + 1 :]]
        now: tuple[Sample, ...] = ()
        try:
            method = engine.load(name)
            order = Order.of(painted, method, seed, 1, settings.get(method.name, {}))
            with closing(drawn(order.request)) as moments:
                for now, progress in moments:
                    if time.monotonic() - shown >= SECONDS_BETWEEN_UPDATES:
                        key, update = _so_far(
                            painted, finished + now, (place + progress) / len(choices), label, waiting, display, key
                        )
                        yield update
                        shown = time.monotonic()
            now = tuple(comparing.judged(sample, order.request, display.refine) for sample in now)
        except (PageError, CompletionError) as error:
            troubles.append(f"{label} gave up: {str(error).rstrip('.')}.")
            now = tuple(replace(sample, flaw="gave up on the way") for sample in now)
        finished += now
        if finished and waiting:
            key, update = _so_far(painted, finished, (place + 1) / len(choices), label, waiting, display, key)
            yield update
    if not finished:
        raise PageError(" ".join(troubles))
    result = Result(painted.photo, painted.subject, finished, 1.0, compared=True, edit=painted.edit)
    line = render.compared_line(result, time.monotonic() - began, _cut(painted))
    line += render.trouble(" ".join(troubles), result.mark) if troubles else ""
    yield _finished(result, line, key, display)


def _so_far(
    painted: Painted,
    samples: tuple[Sample, ...],
    progress: float,
    label: str,
    waiting: Sequence[str],
    display: Display,
    key: str | None,
) -> tuple[str, Update]:
    """The key under which what a comparison has reached is kept, and what shows it; label: of the method at work."""
    result = Result(painted.photo, painted.subject, samples, min(progress, 0.99), True, edit=painted.edit)
    key, view = KEPT.put(result, result.cost, key), render.running_view(result, display.crisp, waiting)
    return key, _shown(key, view, render.progress_line(f"{label}…", progress, result.mark))


def _getting_ready(painting: object) -> Update:
    return {"status": render.progress_line("Getting ready…", 0.0, painter.mark(painting))}


def _refused(error: Exception, painting: object) -> Update:
    return {"status": render.trouble(str(error), painter.mark(painting))}


def _stopped(result: Result | None, inputs: PageInputs, key: str | None) -> Update:
    """What stands after a stop: of a comparison the methods that were done, as its result."""
    complete = tuple(sample for sample in result.samples if sample.closeness) if result and result.compared else ()
    if result and complete:
        count = f"{len(complete)} {'method' if len(complete) == 1 else 'methods'}"
        line = render.plain_line(f"Stopped after {count}: what is finished is here.", painter.mark(inputs.painting))
        return _finished(replace(result, samples=complete, progress=1.0), line, key, inputs.display)
    line = f"Stopped at {round(100 * result.progress)} %." if result else "Stopped."
    view = {"pictures": render.running_view(result, inputs.display.crisp)} if result else {}
    return view | {"status": render.plain_line(line, painter.mark(inputs.painting))}


def _finished(result: Result, line: str, key: str | None, display: Display) -> Update:
    key = KEPT.put(result, result.cost, key)
    return _shown(key, render.result_view(result, display, key), line) | {"share": sharing.share_view(result)}


def _shown(key: str, view: str, line: str) -> Update:
    return {"pictures": view, "status": line, "result": key}


def _cut(painted: Painted) -> str:
    return "What was painted outside the square is left as it was." if painted.cut else ""

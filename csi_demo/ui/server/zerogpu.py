"""Completion on Hugging Face's ZeroGPU, whose GPU is there only while a function decorated for it runs, in a fork.

Nothing changes elsewhere: there the decorator returns the function as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import spaces

from ...complete import FrameStep, Request, Subject
from ...errors import CompletionError
from ...methods import available_methods, load_method

SECONDS_TO_BEGIN = 5  # for the fork, and for the first kernels
SECONDS_A_STEP = 0.02  # of one sample and restart of a search, or of an iteration; a guess: no such GPU was measured
MOST_SECONDS = 120


def load_all() -> None:
    """Loads every method: what is loaded in a fork would be gone with it. Raises as `load_method`."""
    for name in available_methods():
        load_method(name)


def seconds(request: Request) -> int:
    """How long a completion may take, by its options."""
    values = request.method.check_options(request.options)
    steps = values.get("steps", 0) * values.get("restarts", 1) + values.get("iterations", 0)
    return min(MOST_SECONDS, round(SECONDS_TO_BEGIN + SECONDS_A_STEP * steps * len(request.seeds)))


def complete_on_gpu(request: Request) -> Generator[FrameStep]:
    """The steps of a request. Only the frame goes to the fork, not the photo. Raises as `Request.steps`."""
    frame = Subject.of_frame(request.subject.frame, request.subject.frame_mask)
    for step in in_the_fork(replace(request, subject=frame)):
        if isinstance(step, Exception):
            raise step
        yield step


@spaces.GPU(duration=seconds)
def in_the_fork(request: Request) -> Iterator[FrameStep | Exception]:
    """What goes wrong comes last, as a value, since a fork passes on no exceptions."""
    try:
        yield from request.steps()
    except (CompletionError, ValueError) as error:
        yield error

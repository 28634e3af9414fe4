"""Work in a thread of its own, so that whoever waits for its next item can stop waiting."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")

SECONDS_BETWEEN_LOOKS = 0.1
SECONDS_TO_CLOSE = 0.3  # that are waited for work to close


def in_background(work: Generator[Item], given_up: Callable[[], bool]) -> Generator[Item]:
    """The items of the work, each worked for when it is asked for. Ends soon after it is given up, however long the
    item under way takes; the work is closed as soon as that one has come."""
    asked: SimpleQueue[bool] = SimpleQueue()
    answers: SimpleQueue[Item | BaseException] = SimpleQueue()

    def run() -> None:
        with closing(work):
            while asked.get():
                try:
                    answers.put(next(work))
                except BaseException as error:
                    answers.put(error)

    thread = Thread(target=copy_context().run, args=(run,), name="aside", daemon=True)
    thread.start()
    try:
        while True:
            asked.put(True)
            answer = _answer(answers, given_up)
            if answer is None or isinstance(answer, StopIteration):
                return
            if isinstance(answer, BaseException):
                raise answer
            yield answer
    finally:
        asked.put(False)
        thread.join(SECONDS_TO_CLOSE)


def _answer(answers: SimpleQueue[Item | BaseException], given_up: Callable[[], bool]) -> Item | BaseException | None:
    """None where it is given up."""
    while not given_up():
        try:
            return answers.get(timeout=SECONDS_BETWEEN_LOOKS)
        except Empty:
            pass
    return None

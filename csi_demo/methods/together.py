"""Searches evaluated as one batch: a generator costs little more for eight pictures than for one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from queue import SimpleQueue
from threading import Thread

import torch
from torch import Tensor

Ask = Callable[[Tensor], tuple[Tensor, Tensor]]
Evaluate = Callable[[Sequence[int], Tensor], tuple[Sequence[Tensor], Tensor]]


def search_together(searches: Sequence[Callable[[Ask], None]], evaluate: Evaluate) -> Generator[None]:
    """Runs searches side by side until all have ended; what they ask for at the same time is evaluated in one go.

    Yields after each evaluation; a generator that is closed there ends the searches.

    searches: each is called with `ask`, which takes latents (r, z) to their loss () and its gradient (r, z).
    evaluate: which searches ask, and their latents one after the other (sum of r, z), to the loss of each and the
    gradient of all. An error in a search, or in `evaluate`, ends all of them and is raised.
    """
    asked: SimpleQueue[tuple[int, Tensor | None]] = SimpleQueue()
    answers: list[SimpleQueue[tuple[Tensor, Tensor] | None]] = [SimpleQueue() for _ in searches]
    errors: list[BaseException] = []

    def work(index: int) -> None:
        def ask(z: Tensor) -> tuple[Tensor, Tensor]:
            asked.put((index, z))
            answer = answers[index].get()
            if answer is None:
                raise _OthersFailedError
            return answer

        try:
            searches[index](ask)
        except _OthersFailedError:
            pass
        except BaseException as error:
            errors.append(error)
        finally:
            asked.put((index, None))

    threads = [Thread(target=work, args=(index,), daemon=True) for index in range(len(searches))]
    for thread in threads:
        thread.start()
    running, closed = len(searches), False
    waiting: dict[int, Tensor] = {}
    while running:
        index, z = asked.get()
        if z is None:
            running -= 1
        else:
            waiting[index] = z
        if len(waiting) < running or not waiting:
            continue
        indices, waiting_now = sorted(waiting), waiting
        waiting = {}
        try:
            if errors:
                raise errors[0]
            losses, gradients = evaluate(indices, torch.cat([waiting_now[index] for index in indices]))
            parts = gradients.split([len(waiting_now[index]) for index in indices])
            found: Sequence[tuple[Tensor, Tensor] | None] = list(zip(losses, parts, strict=True))
        except BaseException as error:
            errors.append(error)
            found = [None] * len(indices)
        for index, answer in zip(indices, found, strict=True):
            answers[index].put(answer)
        try:
            if not errors:
                yield
        except GeneratorExit:
            closed = True
            errors.append(_OthersFailedError())  # which each search meets at its next question
    for thread in threads:
        thread.join()
    if errors and not closed:
        raise errors[0]


class _OthersFailedError(Exception):
    """The others have failed, so that this search need not go on."""

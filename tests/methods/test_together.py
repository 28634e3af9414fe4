"""Searches side by side: their questions are answered in one go, and an error ends them all."""

from __future__ import annotations

import threading
from contextlib import closing

import pytest
import torch

from csi_demo.methods.together import search_together


def descend(found: dict, name: int, steps: int):
    """A search that follows the gradient of its loss for some steps."""

    def search(ask) -> None:
        z = torch.full((2, 1), float(name))
        for _ in range(steps):
            loss, gradient = ask(z)
            z = z - 0.25 * gradient
        found[name] = (float(loss), z)

    return search


def test_questions_of_all_are_answered_together():
    found: dict = {}
    batches: list[int] = []

    def evaluate(which, z):
        batches.append(len(z))
        return [part.square().sum() for part in z.split(2)], 2.0 * z

    searches = [descend(found, name, steps) for name, steps in ((1, 3), (2, 1), (3, 3))]
    assert len(list(search_together(searches, evaluate))) == 3
    assert batches == [6, 4, 4]
    assert found.keys() == {1, 2, 3}
    assert found[3][0] == pytest.approx(2 * 0.75**2)
    assert torch.equal(found[1][1], torch.full((2, 1), 0.125))


def test_an_error_in_evaluating_ends_all_searches():
    def evaluate(which, z):
        raise ZeroDivisionError("no loss")

    with pytest.raises(ZeroDivisionError, match="no loss"):
        list(search_together([descend({}, name, 2) for name in range(3)], evaluate))


def test_an_error_in_a_search_ends_the_others():
    def broken(ask) -> None:
        raise ZeroDivisionError("astray")

    with pytest.raises(ZeroDivisionError, match="astray"):
        list(search_together([descend({}, 0, 10_000), broken], lambda which, z: ([z.sum()], z)))


def test_whoever_closes_it_waits_for_one_evaluation_and_no_thread_is_left():
    found: dict = {}
    batches: list[int] = []

    def evaluate(which, z):
        batches.append(len(z))
        return [part.sum() for part in z.split(2)], z

    threads = threading.active_count()
    with closing(search_together([descend(found, name, 10_000) for name in range(3)], evaluate)) as evaluations:
        next(evaluations)
    assert batches == [6]
    assert found == {}
    assert threading.active_count() == threads

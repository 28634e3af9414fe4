"""Fills in a process that was forked from one that has filled already, as `multiprocessing` or a web server does it.

Of the threads of a process a fork keeps the one that forks. In the child, OpenMP's, on which PyTorch computes, would be
waited for for ever, and so would OpenCV's, even to be told to end. There everything runs on one thread, and comes to
the same.
"""

from __future__ import annotations

import os
import sys
from functools import cache

_threads: list[int] = []  # of OpenCV, while a fork is under way


@cache
def make_safe() -> None:
    """To be called by what loads PyTorch, any number of times. Does nothing where there is no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)


def _before() -> None:
    if (cv2 := sys.modules.get("cv2")) is not None:
        _threads.append(cv2.getNumThreads())
        cv2.setNumThreads(1)


def _in_parent() -> None:
    if _threads:
        sys.modules["cv2"].setNumThreads(_threads.pop())


def _in_child() -> None:
    _threads.clear()
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
    if (compiled := sys.modules.get(f"{__package__}.sampling.compiled")) is not None:
        compiled.after_fork()

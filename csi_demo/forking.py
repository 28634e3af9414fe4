"""Fills in a process that was forked from one that has filled already, as `multiprocessing` or a web server does it.

Of the threads of a process a fork keeps the one that forks. OpenMP's, on which PyTorch computes, and OpenCV's would be
waited for in the child for ever; there everything runs on the one thread that it has, and comes to the same.
"""

from __future__ import annotations

import os
import sys
from functools import cache


@cache
def make_safe() -> None:
    """To be called by what loads PyTorch, any number of times. Does nothing where there is no fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_on_one_thread)


def _on_one_thread() -> None:
    for name, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if (library := sys.modules.get(name)) is not None:
            getattr(library, setter)(1)
    if (compiled := sys.modules.get(f"{__package__}.sampling.compiled")) is not None:
        compiled.after_fork()

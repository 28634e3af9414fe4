"""Memory that is free again goes back to the system, where glibc would keep it."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

# malloc.h. Threads share two heaps, where eight a core would each keep what was once needed in it; what takes 2 MB or
# more is mapped by itself and not cut out of a heap (below that, a completion would mostly wait for fresh pages).
SETTINGS = {"M_ARENA_MAX": (-8, 2), "M_MMAP_THRESHOLD": (-3, 2 * 2**20), "M_TRIM_THRESHOLD": (-1, 64 * 2**20)}


def use_little() -> None:
    """To be called before there are threads. Does nothing with another C library."""
    with suppress(AttributeError, OSError, TypeError):
        for number, value in SETTINGS.values():
            ctypes.CDLL(None).mallopt(number, value)


def start_counting() -> None:
    """What exists now is here to stay: `give_back` need not go through it."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Returns the pages that hold nothing any more, an error's photo among them, which its traceback refers to in a
    circle; takes some 50 ms for a gigabyte."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)

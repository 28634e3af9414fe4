"""Work shared among processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import starmap
from typing import Any

import torch


def shared(work: Callable[..., Any], jobs: Sequence[tuple], workers: int) -> Iterator[Any]:
    """What `work` makes of each job, in order; by so many processes of one thread each, or, for 0, by this one."""
    if not workers:
        yield from starmap(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True), chunksize=2)

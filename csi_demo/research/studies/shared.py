"""What studies of fills share: what is asked of them, means of figures, and work among processes."""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..metrics.features import face_network, judge_network
from ..metrics.frechet import distance_to_faces


@dataclass(frozen=True)
class Study:
    """Which method fills holes of which family in which pictures, and how.

    method: its name; data: a pack, or a folder of photos; limit: how many of them, None: all; contact_sheet: a PNG to
    write; workers: processes of one thread each that share the pictures, 0: this process alone.
    """

    method: str
    data: Path
    mask: str
    limit: int | None = None
    seed: int = 0
    contact_sheet: Path | None = None
    workers: int = 0
    controls: Mapping[str, float] | None = None
    options: Mapping[str, float] | None = None


def means_of(rows: Sequence[Mapping[str, float]], filled: Tensor, faces: Tensor) -> dict[str, float]:
    """Means of figures of `measure`, rounded; seam and sharpness as ratios, and Fréchet distances where there are
    pictures enough. filled, faces: (N, 3, H, W)."""
    means = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    for name, part in (("seam", "step"), ("sharpness", "rough")):
        drawn, true = means.pop(part), means.pop(f"true_{part}")
        means[name] = drawn / true if true else math.nan
    for name, network in (("frechet", face_network()), ("frechet_judge", judge_network())):
        if (distance := distance_to_faces(filled, faces, network)) is not None:
            means[name] = distance
    return {key: round(value, 4) for key, value in means.items()}


def shared(work: Callable[..., Any], jobs: Sequence[tuple], workers: int) -> Iterator[Any]:
    """What `work` makes of each job, in order; by so many processes of one thread each, or, for 0, by this one."""
    if not workers:
        yield from starmap(work, jobs)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, torch.set_num_threads, (1,)) as pool:
        yield from pool.map(work, *zip(*jobs, strict=True), chunksize=2)

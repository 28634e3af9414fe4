"""Processes that fill photos beside each other: of this machine, or of a Ray cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CompletionError, PhotoError, UsageError
from ..methods import load_method
from ..photo.reading import read_file
from .complete import Recipe, result_files

ROOT = Path(__file__).resolve().parents[2]
PASSED_ON = ("CSI_WEIGHTS_DIR", "CSI_WEIGHTS_REPO")  # settings that a cluster's workers take over


@dataclass(frozen=True)
class Job:
    """A photo, how it is to be filled, and the folder for its result."""

    photo: Path
    recipe: Recipe
    folder: Path


Filled = tuple[Job, "dict[str, bytes] | Exception"]  # the files of a job's result, or what went wrong


def default_workers() -> int:
    """As many as there are CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _use_one_thread() -> None:
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)


def _begin() -> None:
    """In a process of the pool: one thread, deaf to Ctrl-C, which its parent hears, and gone when its parent is."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CSI_DEVICE"] = "cpu"
    parent = multiprocessing.parent_process()

    def end() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=end, daemon=True).start()
    _use_one_thread()


def _fill(recipe: Recipe, photo: bytes) -> dict[str, bytes]:
    return result_files(photo, "the photo", recipe, load_method(recipe.method))


def in_processes(jobs: Sequence[Job], workers: int) -> Iterator[Filled]:
    """The results of jobs in the order in which they are done, by so many processes of one thread each.

    A process that is ended from outside takes the others of the pool along: what they were at is tried once more.
    """
    waiting, tries = list(reversed(jobs)), Counter[Path]()
    while waiting:
        pool = ProcessPoolExecutor(min(workers, len(waiting)), multiprocessing.get_context("spawn"), _begin)
        running: dict[Future[dict[str, bytes]], Job] = {}
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    job = waiting[-1]
                    try:
                        running[pool.submit(_fill, job.recipe, read_file(job.photo))] = waiting.pop()
                    except PhotoError as error:
                        yield waiting.pop(), error
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    try:
                        result: dict[str, bytes] | Exception = future.result()
                    except BrokenProcessPool:
                        raise
                    except Exception as error:
                        result = error
                    yield running.pop(future), result
        except BrokenProcessPool:
            for job in running.values():
                tries[job.folder] += 1
                if tries[job.folder] == 1:
                    waiting.append(job)
                else:
                    yield job, CompletionError("the process that filled it was ended, twice: is there enough memory?")
        finally:
            pool.shutdown(wait=not running, cancel_futures=True)


class _Worker:
    """A process of the cluster."""

    def __init__(self) -> None:
        _use_one_thread()

    def fill(self, recipe: Recipe, photo: bytes) -> dict[str, bytes]:
        """The files of a photo's result."""
        return _fill(recipe, photo)


def _knock(address: str) -> None:
    """Raises UsageError where nothing listens at an address: Ray itself would try, and complain, for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if port.isdecimal():
            socket.create_connection((host, int(port)), timeout=5).close()
    except (OSError, OverflowError) as error:
        raise UsageError(f"no Ray at {address}: {error}") from None


def on_cluster(jobs: Sequence[Job], address: str, workers: int | None) -> Iterator[Filled]:
    """As `in_processes`, by those of a Ray cluster. workers: default: as many as it has CPUs. Raises UsageError."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _knock(address)
    import ray
    from ray.exceptions import RayError, RayTaskError

    waiting = list(reversed(jobs))
    passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        ray.init(
            address=address,
            runtime_env={"env_vars": passed_on | {"PYTHONPATH": str(ROOT), "CSI_DEVICE": "cpu"}},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        cpus = int(ray.cluster_resources().get("CPU", 1))
    except Exception as error:  # of Ray, of its connections, of its parts written in C++
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        way_out = "start it by `ray start --head`, or leave --address away to use this machine's processes"
        raise UsageError(f"no Ray at {address}: {reason}: {way_out}") from None
    try:
        kind: Any = ray.remote(num_cpus=1, max_restarts=-1)(_Worker)
        idle = [kind.remote() for _ in range(min(workers or cpus, cpus, len(jobs)))]
        running: dict[Any, tuple[Job, Any]] = {}
        while waiting or running:
            while waiting and idle:
                job, worker = waiting.pop(), idle.pop()
                try:
                    running[worker.fill.remote(job.recipe, read_file(job.photo))] = job, worker
                except PhotoError as error:
                    idle.append(worker)
                    yield job, error
            for reference in ray.wait(list(running))[0] if running else ():
                job, worker = running.pop(reference)
                idle.append(worker)
                try:
                    yield job, ray.get(reference)
                except RayTaskError as error:
                    yield job, error.cause
                except RayError as error:
                    yield job, error
    finally:
        ray.shutdown()

"""What whoever runs the page may know of how it goes: counts and seconds, nothing of a photo or of a visitor."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from ...errors import UsageError

PORT = "CSI_METRICS_PORT"
LOOPBACK = "127.0.0.1"

FILLS = Counter("csi_fills", "Fills by how they ended: complete, left half-way, or failed", ["method", "ended"])
SECONDS = Histogram(
    "csi_fill_seconds", "Seconds of complete fills", ["method"], buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120)
)
RUNNING = Gauge("csi_fills_running", "Fills under way")
QUEUE = Gauge("csi_queue_length", "Events that wait for their turn")
REFUSED = Counter("csi_refused", "Requests refused for want of room")

_running, _idle = 0, threading.Condition()


@contextmanager
def fill(method: str) -> Iterator[None]:
    """Counts and times what goes on in it, a fill by this method."""
    global _running
    began, ended = time.monotonic(), "failed"
    with _idle:
        _running += 1
    RUNNING.inc()
    try:
        yield
        ended = "complete"
        SECONDS.labels(method).observe(time.monotonic() - began)
    except GeneratorExit:
        ended = "left"
        raise
    finally:
        FILLS.labels(method, ended).inc()
        RUNNING.dec()
        with _idle:
            _running -= 1
            _idle.notify_all()


def running() -> int:
    """How many fills are under way."""
    return _running


def wait_until_idle(seconds: float) -> bool:
    """Waits until no fill is under way, at most so many seconds; whether that came about."""
    with _idle:
        return _idle.wait_for(lambda: not _running, seconds)


def serve(queue_length: Callable[[], int]) -> None:
    """Serves them in Prometheus' format at this machine's own address alone, where CSI_METRICS_PORT names a port.

    Raises UsageError where that is none, or taken.
    """
    text = os.environ.get(PORT, "")
    if not text:
        return
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UsageError(f"{PORT}={text!r:.40}: need a port from 1 to 65535")
    QUEUE.set_function(lambda: float(queue_length()))
    try:
        start_http_server(int(text), LOOPBACK)
    except OSError as error:
        raise UsageError(f"{PORT}={text}: {error.strerror}") from None

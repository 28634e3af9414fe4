"""Virtual visitors at a running page: what a browser sends, many times at once, and a report of how it went."""

from __future__ import annotations

import io
import json
import os
import random
import secrets
import statistics
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from .. import masks
from ..errors import SoakError
from ..ui import painter

SHARE_THAT_LEAVES = 0.25  # of the fills, half-way
MOUTH = painter.to_runs(masks.family("mouth"))


class BusyError(Exception):
    """The queue had no place left."""


class TroubleError(Exception):
    """The server did not do what it was asked to."""


class Visitor:
    """A browser's side of the page's traffic: components' values, and events sent to the queue."""

    def __init__(self, url: str, **options: Any):
        self.url, self.session = url, secrets.token_hex(8)
        self.http = httpx.Client(**{"timeout": 60, **options})
        config = self.http.get(f"{url}config").raise_for_status().json()
        self.dependencies = config["dependencies"]
        self.ids = {one["props"].get("elem_id"): one["id"] for one in config["components"]}
        self.values = {one["id"]: one["props"].get("value") for one in config["components"]}

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def event(self, element: str, name: str) -> dict[str, Any]:
        """The event of an element; the queued one where there are two."""
        target = [self.ids[element], name]
        found = [one for one in self.dependencies if target in one["targets"]]
        return max(found, key=lambda one: one["queue"] is not False)

    def after(self, event: dict[str, Any]) -> dict[str, Any]:
        """What follows an event."""
        return next(one for one in self.dependencies if one["trigger_after"] == event["id"])

    def join(self, event: dict[str, Any]) -> None:
        """Asks the server to do it. Raises BusyError or httpx.HTTPStatusError."""
        data = [self.values.get(number) for number in event["inputs"]]
        body = {"data": data, "fn_index": event["id"], "session_hash": self.session}
        answer = self.http.post(f"{self.url}gradio_api/queue/join", json=body)
        if answer.status_code == 503:
            raise BusyError
        answer.raise_for_status()

    def send(self, event: dict[str, Any], leave: bool = False) -> None:
        """Lets the server do it, and takes over what it says; to leave is to hang up at the first sign of work.

        Raises BusyError, TroubleError or httpx.HTTPError.
        """
        self.join(event)
        where = f"{self.url}gradio_api/queue/data"
        with self.http.stream("GET", where, params={"session_hash": self.session}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                said = message.get("msg")
                if leave and said in ("process_starts", "process_generating"):
                    return
                if said == "unexpected_error" or (said == "process_completed" and not message["success"]):
                    raise TroubleError(str((message.get("output") or message).get("error") or message.get("message")))
                if said == "process_completed":
                    for number, value in zip(event["outputs"], message["output"]["data"], strict=True):
                        self._take(number, value)
                if said == "close_stream":
                    return

    def _take(self, number: int, value: Any) -> None:
        if not (isinstance(value, dict) and value.get("__type__") == "update"):
            self.values[number] = value
        elif "value" in value:
            self.values[number] = value["value"]

    def upload(self, data: bytes, name: str = "photo-0.png") -> str:
        """Sends a file; returns where it lies on the server."""
        files = {"files": (name, data)}
        (path,) = self.http.post(f"{self.url}gradio_api/upload", files=files).raise_for_status().json()
        return path

    def show(self, data: bytes) -> dict[str, Any]:
        """Sends a photo; returns what the painter then shows."""
        self.set("painter", json.dumps({"upload": self.upload(data)}))
        self.send(self.event("painter", "upload"))
        return json.loads(self.shown("painter"))

    def paint_on(self, picture: Image.Image) -> None:
        """Sends a picture of 64x64, and paints its mouth out."""
        buffer = io.BytesIO()
        picture.save(buffer, "PNG")
        shown = self.show(buffer.getvalue())
        self.set("painter", json.dumps({"photo": shown["photo"], "size": shown["size"], "runs": MOUTH}))
        painted = self.event("painter", "input")
        self.send(painted)
        self.send(self.after(painted))

    def fill(self, button: str = "fill", leave: bool = False) -> None:
        """Presses the fill or the compare button."""
        pressed = self.event(button, "click")
        self.send(pressed)
        self.send(self.after(pressed), leave)

    def set(self, element: str, value: Any) -> None:
        self.values[self.ids[element]] = value

    def shown(self, element: str) -> str:
        return str(self.values[self.ids[element]])


@dataclass
class Tally:
    """What all visitors met."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)
    busy: int = 0
    left: int = 0


def soak(url: str, minutes: float, visitors: int, pid: int | None = None, files: Path | None = None) -> dict[str, Any]:
    """Lets so many visitors come and go for so many minutes; returns the figures of `report`.

    pid: of the server, for its memory (see `_growth`); files: its folder of uploads.
    """
    try:
        httpx.get(f"{url}config", timeout=60).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SoakError(f"no page answers at {url}: {error}") from None
    tally, lock, began = Tally(), threading.Lock(), time.monotonic()
    end = began + 60 * minutes
    memory = [_memory(pid)] if pid else []
    with ThreadPoolExecutor(visitors) as pool:
        work = [pool.submit(_come_and_go, url, end, seed, tally, lock) for seed in range(visitors)]
        while pid and time.monotonic() < end:
            time.sleep(min(1.0, 6 * minutes))
            memory.append(_memory(pid))
    for one in work:
        one.result()
    figures: dict[str, Any] = {
        "minutes": round((time.monotonic() - began) / 60, 2),
        "visitors": visitors,
        "requests": sum(map(len, tally.seconds.values())),
        "busy": tally.busy,
        "left_half_way": tally.left,
        "errors": dict(tally.errors.most_common()),
        "seconds": {name: _spread(waits) for name, waits in sorted(tally.seconds.items())},
    }
    if pid:
        figures["memory_mb"] = _growth(memory)
    if files:
        figures["files"] = sum(len(names) for _, _, names in os.walk(files))
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{figures['visitors']} visitors, {figures['minutes']} minutes, {figures['requests']} requests, "
        f"{figures['left_half_way']} left half-way, {figures['busy']} times busy",
    ]
    for name, one in figures["seconds"].items():
        lines.append(f"{name}: {one['n']}, median {one['median']} s, p95 {one['p95']} s")
    if memory := figures.get("memory_mb"):
        lines.append(
            f"memory: {memory['before']} MB before, {memory['warm']} warm, {memory['late']} late "
            f"({100 * (memory['late'] / memory['warm'] - 1):+.1f} %), {memory['highest']} at most"
        )
    if "files" in figures:
        lines.append(f"files left: {figures['files']}")
    lines += [f"error, {count} times: {message}" for message, count in figures["errors"].items()] or ["no errors"]
    return "\n".join(lines)


def _come_and_go(url: str, end: float, seed: int, tally: Tally, lock: threading.Lock) -> None:
    """One visitor after another until the end: each sends a photo, moves sliders, fills, perhaps compares, leaves."""
    chance = random.Random(seed)

    def timed(name: str, work: Callable[..., Any], *values: Any) -> Any:
        began = time.monotonic()
        try:
            return work(*values)
        except BusyError:
            with lock:
                tally.busy += 1
            time.sleep(chance.uniform(0.5, 2.0))
            raise
        except (TroubleError, httpx.HTTPError) as error:
            with lock:
                tally.errors[f"{name}: {error or type(error).__name__}"] += 1
            time.sleep(1.0)
            raise
        finally:
            with lock:
                tally.seconds[name].append(time.monotonic() - began)

    while time.monotonic() < end:
        try:
            visitor = timed("open", Visitor, url)
        except httpx.HTTPError:
            continue
        with visitor:
            try:
                timed("upload", visitor.paint_on, _picture(chance))
                for _ in range(chance.randint(1, 4)):
                    if time.monotonic() >= end:
                        break
                    visitor.set("seed", chance.randint(0, 1000))
                    visitor.set("slider-0", round(chance.uniform(-2.0, 2.0), 1))
                    button = "compare" if chance.random() < 0.1 else "fill"
                    leave = chance.random() < SHARE_THAT_LEAVES
                    timed(f"{button}, left" if leave else button, visitor.fill, button, leave)
                    if leave:
                        with lock:
                            tally.left += 1
                        break
            except (BusyError, TroubleError, httpx.HTTPError):
                pass  # counted; the next visitor comes


def _picture(chance: random.Random) -> Image.Image:
    """A frame that nobody has seen before."""
    small = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


def _spread(waits: list[float]) -> dict[str, float]:
    ends = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
    return {"n": len(waits), "median": round(statistics.median(waits), 3), "p95": round(ends, 3)}


def _growth(memory: Sequence[int]) -> dict[str, int]:
    """Resident megabytes out of what was measured every second, all visitors being there.

    before: the first came. In the first fifth of the time, the warm-up, every method is loaded and every store fills
    that holds a fixed number of things. warm and late: medians of the tenth after it and of the last tenth, so that
    neither hangs on what happened to be under way at one moment.
    """
    before, *during = memory
    tenth = max(1, len(during) // 10)
    return {
        "before": before,
        "warm": round(statistics.median(during[2 * tenth : 3 * tenth] or during)),
        "late": round(statistics.median(during[-tenth:])),
        "highest": max(during),
    }


def _memory(pid: int) -> int:
    """Resident megabytes of a process. Raises SoakError."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
    except (OSError, StopIteration):
        raise SoakError(f"the memory of process {pid} cannot be read") from None

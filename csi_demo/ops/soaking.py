"""Virtual visitors at a running page: what a browser sends, many times at once, and a report of how it went."""

from __future__ import annotations

import io
import json
import os
import random
import re
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
TROUBLE = re.compile('class="csi-trouble"[^>]*>(.*?)</div>', re.DOTALL)
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
        where, done = f"{self.url}gradio_api/queue/data", False
        with self.http.stream("GET", where, params={"session_hash": self.session}) as answer:
            for line in answer.iter_lines():
                message = json.loads(line[5:]) if line.startswith("data:") else {}
                said = message.get("msg")
                if leave and said in ("process_starts", "process_generating"):
                    return
                if said == "unexpected_error" or (said == "process_completed" and not message["success"]):
                    raise TroubleError(str((message.get("output") or message).get("error") or message.get("message")))
                if said == "process_completed":
                    done = True
                    for number, value in zip(event["outputs"], message["output"]["data"], strict=True):
                        self._take(number, value)
                if said == "close_stream":
                    break
        if not done:
            raise TroubleError("the answer broke off")

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
        """Sends a photo; returns what the painter then shows. Raises TroubleError where that is no photo."""
        self.set("painter", json.dumps({"upload": self.upload(data)}))
        self.send(self.event("painter", "upload"))
        shown = json.loads(self.shown("painter"))
        if "trouble" in shown:
            raise TroubleError(shown["trouble"])
        return shown

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

    def served(self, button: str, leave: bool = False) -> None:
        """Presses the button; raises TroubleError where the page then says that something is wrong."""
        self.fill(button, leave)
        if not leave and (said := TROUBLE.search(self.shown("status"))):
            raise TroubleError(said[1])

    def set(self, element: str, value: Any) -> None:
        self.values[self.ids[element]] = value

    def shown(self, element: str) -> str:
        return str(self.values[self.ids[element]])


@dataclass
class Tally:
    """What all visitors met."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))  # by `Guests.blame`
    busy: int = 0
    left: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, blamed: str, name: str, error: Exception) -> None:
        """Counts an error."""
        with self.lock:
            self.errors[blamed][f"{name}: {_words(error)}"] += 1

    def figures(self, began: float, visitors: int) -> dict[str, Any]:
        """What has been counted since then, as `report` wants it, errors aside."""
        return {
            "minutes": round((time.monotonic() - began) / 60, 2),
            "visitors": visitors,
            "requests": sum(map(len, self.seconds.values())),
            "busy": self.busy,
            "left_half_way": self.left,
            "seconds": {name: _spread(waits) for name, waits in sorted(self.seconds.items())},
        }


class Guests:
    """Those who come to a page, one after another."""

    def __init__(self, url: str):
        self.url = url

    def come(self) -> Visitor:
        """The next one, who has opened the page. Raises httpx.HTTPError."""
        return Visitor(self.url)

    def begin(self, visitor: Visitor, chance: random.Random) -> None:
        """What one does before all else: nothing."""

    def blame(self, error: Exception) -> str:
        """What an error that the last one met is laid to, in a word: the page."""
        return "page"


def soak(url: str, minutes: float, visitors: int, pid: int | None = None, files: Path | None = None) -> dict[str, Any]:
    """Lets so many visitors come and go for so many minutes; returns the figures of `report`.

    pid: of the server, for its memory (see `growth`); files: its folder of uploads.
    """
    try:
        httpx.get(f"{url}config", timeout=60).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SoakError(f"no page answers at {url}: {error}") from None
    tally, began = Tally(), time.monotonic()
    end = began + 60 * minutes
    memory = [memory_of(pid)] if pid else []
    with ThreadPoolExecutor(visitors) as pool:
        going = lambda: time.monotonic() < end  # noqa: E731
        work = [pool.submit(come_and_go, Guests(url), going, seed, tally) for seed in range(visitors)]
        while pid and time.monotonic() < end:
            time.sleep(min(1.0, 6 * minutes))
            memory.append(memory_of(pid))
    for one in work:
        one.result()
    figures = tally.figures(began, visitors) | {"errors": dict(tally.errors["page"].most_common())}
    if pid:
        figures["memory_mb"] = growth(memory)
    if files:
        figures["files"] = len(files_in(files))
    return figures


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    lines = traffic(figures)
    if memory := figures.get("memory_mb"):
        lines.append(f"memory: {grown(memory)}")
    if "files" in figures:
        lines.append(f"files left: {figures['files']}")
    lines += [f"error, {count} times: {message}" for message, count in figures["errors"].items()] or ["no errors"]
    return "\n".join(lines)


def traffic(figures: dict[str, Any]) -> list[str]:
    """Lines about how much was asked for, and how long it took."""
    head = (
        f"{figures['visitors']} visitors, {figures['minutes']} minutes, {figures['requests']} requests, "
        f"{figures['left_half_way']} left half-way, {figures['busy']} times busy"
    )
    waits = figures["seconds"].items()
    return [head, *(f"{name}: {one['n']}, median {one['median']} s, p95 {one['p95']} s" for name, one in waits)]


def grown(memory: dict[str, int]) -> str:
    """The figures of `growth` as text."""
    return (
        f"{memory['before']} MB before, {memory['warm']} warm, {memory['late']} late "
        f"({100 * (memory['late'] / memory['warm'] - 1):+.1f} %), {memory['highest']} at most"
    )


def come_and_go(guests: Guests, going: Callable[[], bool], seed: int, tally: Tally) -> None:
    """One visitor after another while it goes on: each sends a photo, moves sliders, fills, perhaps compares, leaves.

    Errors are counted in the tally, and laid to what the guests say.
    """
    chance = random.Random(seed)

    def timed(name: str, work: Callable[..., Any], *values: Any) -> Any:
        began = time.monotonic()
        try:
            return work(*values)
        except BusyError:
            with tally.lock:
                tally.busy += 1
            time.sleep(chance.uniform(0.5, 2.0))
            raise
        except (TroubleError, httpx.HTTPError) as error:
            tally.note(guests.blame(error), name, error)
            time.sleep(1.0)
            raise
        finally:
            with tally.lock:
                tally.seconds[name].append(time.monotonic() - began)

    while going():
        try:
            visitor = timed("open", guests.come)
        except httpx.HTTPError:
            continue
        with visitor:
            try:
                guests.begin(visitor, chance)
                timed("upload", visitor.paint_on, _picture(chance))
                for _ in range(chance.randint(1, 4)):
                    if not going():
                        break
                    visitor.set("seed", chance.randint(0, 1000))
                    visitor.set("slider-0", round(chance.uniform(-2.0, 2.0), 1))
                    button = "compare" if chance.random() < 0.1 else "fill"
                    leave = chance.random() < SHARE_THAT_LEAVES
                    timed(f"{button}, left" if leave else button, visitor.served, button, leave)
                    if leave:
                        with tally.lock:
                            tally.left += 1
                        break
            except (BusyError, TroubleError, httpx.HTTPError):
                pass  # counted; the next visitor comes


def files_in(folder: Path) -> list[Path]:
    """Every file that lies in a folder, however deep."""
    return [Path(inner, name) for inner, _, names in os.walk(folder) for name in names]


def _picture(chance: random.Random) -> Image.Image:
    """A frame that nobody has seen before."""
    small = np.random.default_rng(chance.getrandbits(32)).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((64, 64), Image.Resampling.BICUBIC)


def _words(error: Exception) -> str:
    """What it says, without the address that was asked, which differs each time."""
    if isinstance(error, httpx.HTTPStatusError):
        return f"{error.response.status_code} {error.response.reason_phrase}"
    return str(error) or type(error).__name__


def _spread(waits: list[float]) -> dict[str, float]:
    ends = statistics.quantiles(waits, n=20)[-1] if len(waits) > 1 else waits[0]
    return {"n": len(waits), "median": round(statistics.median(waits), 3), "p95": round(ends, 3)}


def growth(memory: Sequence[int]) -> dict[str, int]:
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


def memory_of(pid: int) -> int:
    """Resident megabytes of a process. Raises SoakError."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) // 1024
    except (OSError, StopIteration):
        raise SoakError(f"the memory of process {pid} cannot be read") from None

"""A soak that hurts: two replicas behind nginx, uploads cut half-way, one replica stopped and started, a full disk.

Nothing may be lost but what the stopped replica was at, and what was sent to it while nginx still believed in it. Who
is to blame for an error is told by nginx, which names in each answer the replicas that it asked.
"""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from ..errors import SoakError
from ..ui.server.files import SECONDS_KEPT
from .replicas import REPLICA, Nginx, Replica, nginx_program
from .soaking import (
    BusyError,
    Guests,
    Tally,
    TroubleError,
    Visitor,
    come_and_go,
    files_in,
    grown,
    growth,
    memory_of,
    traffic,
)

STOP, FULL, EMPTY = 0.4, 0.7, 0.8  # when, of the whole time
SECONDS_TO_END = 5.0  # that a replica promises
SECONDS_FULL = 5.0  # for which the disk is full at least
SECONDS_DOUBTED = 40.0  # for which nginx may go on sending visitors elsewhere once a replica is back, and then does not
SHARE_CUT = 0.3  # of the visitors, who first send an upload that breaks off
CUT = 40_000  # bytes of such an upload, half of which are sent
SMALL, LARGEST_SMALL = 64, 1024  # MB: the disk that is mounted, and the most that a small one may have
BLAMED = {"stopped": "laid to the stopped replica", "full": "refused for want of room", "page": "lost"}


@dataclass
class Story:
    """What has happened so far, in seconds of the monotonic clock. answers: by replica; cut: uploads cut half-way."""

    first: str  # address of the replica with the small disk
    second: str  # and of the one that is stopped
    stopped: float = float("inf")
    back: float = float("inf")
    full: float = float("inf")
    empty: float = float("inf")
    answers: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


class HardGuests(Guests):
    """Those who come through nginx, each with a cookie of its own; some send an upload that breaks off."""

    def __init__(self, url: str, story: Story):
        super().__init__(url)
        self.story, self.came = story, 0.0
        self.asked: set[str] = set()  # the replicas that were asked for the present one

    def come(self) -> Visitor:
        self.came, self.asked = time.monotonic(), set()
        hooks = {"response": [self._note]}
        with httpx.Client(timeout=60, event_hooks=hooks) as browser:
            cookies = browser.get(self.url).raise_for_status().cookies
        self.asked.clear()  # without a cookie that was anybody's
        return Visitor(self.url, cookies=cookies, event_hooks=hooks)

    def _note(self, answer: httpx.Response) -> None:
        replicas = [one.strip() for one in answer.headers.get(REPLICA, "").split(",") if one.strip()]
        self.asked.update(replicas)
        with self.story.lock:
            self.story.answers.update(replicas[-1:])

    def begin(self, visitor: Visitor, chance: random.Random) -> None:
        if chance.random() < SHARE_CUT:
            _cut_upload(visitor)
            with self.story.lock:
                self.story.cut += 1

    def blame(self, error: Exception) -> str:
        """What an error is laid to: a name of BLAMED.

        "full": the replica with the full disk said so. "stopped": the visitor was led to the stopped replica, and was
        there between its stop and when nginx believed in it again.
        """
        story, now = self.story, time.monotonic()
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 507:
            there = error.response.headers.get(REPLICA) == story.first
            return "full" if there and story.full <= now <= story.empty + 5.0 else "page"
        meanwhile = self.came <= story.back + SECONDS_DOUBTED and now >= story.stopped
        return "stopped" if meanwhile and story.second in self.asked else "page"


def _cut_upload(visitor: Visitor) -> None:
    """Sends the head and half of the body of an upload, and hangs up."""
    part = 'Content-Disposition: form-data; name="files"; filename="photo-0.png"'
    head = "\r\n".join(
        (
            "POST /gradio_api/upload HTTP/1.1",
            "Host: localhost",
            f"Cookie: {'; '.join(f'{name}={value}' for name, value in visitor.http.cookies.items())}",
            "Content-Type: multipart/form-data; boundary=b",
            f"Content-Length: {CUT}",
            f"\r\n--b\r\n{part}\r\n\r\n",
        )
    )
    address = httpx.URL(visitor.url)
    with suppress(OSError), socket.create_connection((address.host, address.port or 80), 20) as line:
        line.sendall(head.encode() + bytes(CUT // 2))


class SmallDisk:
    """A folder on a small file system, which can be filled up and emptied. Raises SoakError for one that is not small.

    Only a file `filler` in the folder is ever written and deleted.
    """

    def __init__(self, folder: Path):
        try:
            self.megabytes = shutil.disk_usage(folder).total >> 20
        except OSError as error:
            raise SoakError(f"--small-disk {folder}: {error.strerror}") from None
        if self.megabytes > LARGEST_SMALL:
            raise SoakError(
                f"--small-disk {folder} is on a disk of {self.megabytes} MB, which is not filled up: "
                f"at most {LARGEST_SMALL}"
            )
        self.folder, self.filler = folder, folder / "filler"

    def fill(self) -> None:
        """Takes what room there is, page by page."""
        with suppress(OSError), self.filler.open("ab", buffering=0) as file:
            for size in (2**20, 2**12):
                with suppress(OSError):
                    while file.write(bytes(size)) == size:
                        pass

    def empty(self) -> None:
        self.filler.unlink(missing_ok=True)


@contextmanager
def _mounted(folder: Path) -> Iterator[str]:
    """A file system of SMALL megabytes in memory, in this folder; yields why there is none, "" where there is one."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}m,mode=700", "csi-demo-soak", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        trouble = done.stderr.strip() or ("mount failed" if done.returncode else "")
    except OSError as error:
        trouble = f"mount: {error.strerror}"
    try:
        yield trouble
    finally:
        if not trouble:
            subprocess.run(["umount", "-l", str(folder)], check=False)


def hard_soak(minutes: float, visitors: int, small_disk: Path | None = None) -> dict[str, Any]:
    """Lets so many visitors come and go for so many minutes, or longer where a replica takes long to start, while all
    that goes wrong; returns the figures of `report`.

    small_disk: a folder on a small file system to be filled up; without one a tmpfs is mounted, where that can be done.
    Raises SoakError where the replicas or nginx cannot be started.
    """
    nginx_program()
    with ExitStack() as stack:
        if threading.current_thread() is threading.main_thread():  # to be ended is to tidy up, as after Ctrl-C
            stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, signal.default_int_handler))
        disk, left_out = SmallDisk(small_disk) if small_disk else None, []
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="csi-demo-soak-")))
        for name in ("first", "second", "nginx"):
            (folder / name).mkdir()
        if disk is None:
            trouble = stack.enter_context(_mounted(folder / "first"))
            disk = None if trouble else SmallDisk(folder / "first")
            left_out += [f"the full disk, since none could be mounted: {trouble}"] if trouble else []
        first = Replica(disk.folder if disk else folder / "first", folder / "first.log")
        stack.callback(first.stop)
        second = Replica(folder / "second", folder / "second.log")
        stack.callback(second.stop)
        first.wait()
        second.wait()
        nginx = Nginx(folder / "nginx", (first.port, second.port), told=True)
        stack.callback(nginx.stop)
        if disk:
            stack.callback(disk.empty)
        return _run(minutes, visitors, nginx.url, (first, second), disk) | {"left_out": left_out}


def _run(
    minutes: float, visitors: int, url: str, replicas: tuple[Replica, Replica], disk: SmallDisk | None
) -> dict[str, Any]:
    first, second = replicas
    story, tally, began, over = Story(first.address, second.address), Tally(), time.monotonic(), threading.Event()
    lives = {"first": [memory_of(first.process.pid)], "second, before": [memory_of(second.process.pid)]}
    figures: dict[str, Any] = {}

    def watch(ready: Callable[[], bool], meanwhile: Callable[[], None] = lambda: None) -> None:
        """Waits until it is so, while memory is measured every second. Raises SoakError where a replica ends."""
        while not ready():
            for name, one in (("first", first), (list(lives)[-1], second)):
                one.check()
                lives[name].append(memory_of(one.process.pid))
            tick = time.monotonic() + 1.0
            while time.monotonic() < tick and not ready():
                meanwhile()
                time.sleep(0.1)

    def passed(share: float) -> Callable[[], bool]:
        return lambda: time.monotonic() - began >= 60 * minutes * share

    with ThreadPoolExecutor(visitors + 1) as pool:
        going = lambda: not over.is_set()  # noqa: E731
        work = [pool.submit(come_and_go, HardGuests(url, story), going, seed, tally) for seed in range(visitors)]
        try:
            watch(passed(STOP))
            story.stopped = time.monotonic()
            status, seconds = second.stop()
            second.restart()
            lives["second, again"] = [memory_of(second.process.pid)]
            watch(second.healthy)
            story.back = time.monotonic()
            figures["stop"] = {"status": status, "seconds": seconds, "back": round(story.back - story.stopped, 1)}
            lives["second, again"] = [memory_of(second.process.pid)]  # from here on, not from its imports
            if disk:
                watch(passed(FULL))
                holder = _holder(first, tally)
                story.full = time.monotonic()
                disk.fill()
                fills = pool.submit(_fill_on, holder, story, tally)
                refused = httpx.post(
                    f"http://{first.address}/gradio_api/upload", files={"files": bytes(CUT)}, timeout=60
                )
                watch(passed(max(EMPTY, (story.full - began + SECONDS_FULL) / (60 * minutes))), disk.fill)
                disk.empty()
                story.empty = time.monotonic()
                seconds_full = round(story.empty - story.full, 1)
                figures["full_disk"] = {
                    "mb": disk.megabytes,
                    "seconds": seconds_full,
                    "status": refused.status_code,
                    "fills": fills.result(),
                }
            watch(passed(1.0))
            lives["second, again"].append(memory_of(second.process.pid))  # if it came back at the last moment
        finally:
            over.set()
            story.empty = min(story.empty, time.monotonic())
    for one in work:
        one.result()
    return {
        **tally.figures(began, visitors),
        **figures,
        "uploads_cut": story.cut,
        "answers": {"first": story.answers[story.first], "second": story.answers[story.second]},
        "errors": {name: dict(tally.errors[name].most_common()) for name in BLAMED},
        "memory_mb": {name: growth(samples) for name, samples in lives.items() if len(samples) > 1},
        **_ended(replicas),
    }


def _holder(replica: Replica, tally: Tally) -> Visitor | None:
    """A visitor of this replica who has sent a photo; None where that went wrong, which is counted."""
    try:
        visitor = Visitor(f"http://{replica.address}/")
        visitor.paint_on(Image.effect_noise((64, 64), 60.0).convert("RGB"))
        return visitor
    except (BusyError, TroubleError, httpx.HTTPError) as error:
        tally.note("page", "upload before the disk is full", error)
        return None


def _fill_on(visitor: Visitor | None, story: Story, tally: Tally) -> int:
    """Fills holes in a photo that was sent before for as long as the disk is full; returns how many."""
    done = 0
    while visitor and time.monotonic() < story.empty:
        try:
            visitor.served("fill")
            done += 1
        except BusyError:
            time.sleep(1.0)
        except (TroubleError, httpx.HTTPError) as error:
            tally.note("page", "fill while the disk is full", error)
            time.sleep(1.0)
    return done


def _ended(replicas: tuple[Replica, Replica]) -> dict[str, Any]:
    """Ends the replicas; what they leave behind. overdue: files that the sweep should have deleted."""
    left = [time.time() - file.stat().st_ctime for one in replicas for file in files_in(one.own)]
    ends = [one.stop() for one in replicas]
    return {
        "files": {
            "left": len(left),
            "overdue": sum(age > SECONDS_KEPT + 60 for age in left),
            "after_the_end": sum(len(files_in(one.own)) for one in replicas),
        },
        "ends": [{"status": status, "seconds": seconds} for status, seconds in ends],
        "tracebacks": sum(one.tracebacks() for one in replicas),
    }


def lost(figures: dict[str, Any]) -> list[str]:
    """What went wrong beyond the stopped replica's work, a line each; none where all is well."""
    ends, files = [figures["stop"], *figures["ends"]], figures["files"]
    found = [f"lost, {count} times: {message}" for message, count in figures["errors"]["page"].items()]
    found += [
        f"a replica ended with status {one['status']} after {one['seconds']} s: 0 within {SECONDS_TO_END:g} s is right"
        for one in ends
        if one["status"] != 0 or one["seconds"] > SECONDS_TO_END
    ]
    if full := figures.get("full_disk"):
        found += [] if full["status"] == 507 else [f"an upload to a full disk: status {full['status']}, 507 is right"]
        found += [] if full["fills"] else ["no fill of a photo that was there before while the disk was full"]
    found += [f"{files['overdue']} files lie there for too long"] if files["overdue"] else []
    found += [f"{files['after_the_end']} files outlived the replicas"] if files["after_the_end"] else []
    found += [f"{figures['tracebacks']} tracebacks in the logs"] if figures["tracebacks"] else []
    return found


def report(figures: dict[str, Any]) -> str:
    """The figures as text."""
    stop, answers, files = figures["stop"], figures["answers"], figures["files"]
    lines = traffic(figures)
    lines.append(f"answers: {answers['first']} by the first replica, {answers['second']} by the second")
    lines.append(f"uploads cut half-way: {figures['uploads_cut']}")
    lines.append(
        f"second replica: SIGTERM, status {stop['status']} after {stop['seconds']} s, back {stop['back']} s later"
    )
    if full := figures.get("full_disk"):
        lines.append(
            f"first replica: disk of {full['mb']} MB full for {full['seconds']} s, an upload then: {full['status']}, "
            f"{full['fills']} fills of a photo that was there before"
        )
    lines += [f"memory of the {name}: {grown(one)}" for name, one in figures["memory_mb"].items()]
    lines.append(
        f"files left: {files['left']}, of them overdue {files['overdue']}; after the end {files['after_the_end']}"
    )
    lines.append("ends: " + ", ".join(f"status {one['status']} after {one['seconds']} s" for one in figures["ends"]))
    for name in ("stopped", "full"):
        met = figures["errors"][name].items()
        lines += [f"{BLAMED[name]}, {count} times: {message}" for message, count in met]
    lines += [f"left out: {one}" for one in figures["left_out"]]
    return "\n".join([*lines, *(lost(figures) or ["nothing else was lost"])])

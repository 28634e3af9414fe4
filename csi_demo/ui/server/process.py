"""How the page's process starts and ends: quietly, whenever it is told to, and within five seconds.

Imports nothing that takes long, so that what is wrong is said at once.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from ...errors import UsageError

SECONDS_TO_FINISH = 3.0  # for fills under way
SECONDS_TO_END = 4.5  # for everything
INTERRUPTED = 130


def ask_to_end() -> None:
    """From now on a signal raises SystemExit in the main thread; `end` is to follow. A second one does not wait."""

    def asked(number: int, frame: FrameType | None) -> None:
        status = INTERRUPTED if number == signal.SIGINT else 0
        signal.signal(signal.SIGINT, lambda *_: os._exit(status))
        signal.signal(signal.SIGTERM, lambda *_: os._exit(status))
        late = threading.Timer(SECONDS_TO_END, os._exit, (status,))
        late.daemon = True
        late.start()
        sys.exit(status)

    signal.signal(signal.SIGINT, asked)
    signal.signal(signal.SIGTERM, asked)


def end(status: int, *works: Callable[[], object]) -> NoReturn:
    """Does what is to be done last and ends the process, whatever its other threads are at. Waiting for C++ threads in
    mid-work, or taking Python down around them, would end in an abort."""
    try:
        for work in works:
            work()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def port() -> int:
    """Where the page is served: PORT, GRADIO_SERVER_PORT, or 7860. Raises UsageError."""
    for name in ("PORT", "GRADIO_SERVER_PORT"):
        if text := os.environ.get(name, ""):
            if not text.isdecimal() or not 1 <= int(text[:9]) <= 65535:
                raise UsageError(f"{name}={text!r:.40}: need a port from 1 to 65535")
            return int(text)
    return 7860


def host() -> str:
    """Where it listens: GRADIO_SERVER_NAME, or this machine's own address."""
    return os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"


def root_path() -> str | None:
    """The prefix that the page is reached under, GRADIO_ROOT_PATH: an address, or a path that starts with a slash."""
    path = os.environ.get("GRADIO_ROOT_PATH", "").rstrip("/")
    return path if not path or "://" in path or path.startswith("/") else f"/{path}"


def check_free() -> None:
    """Raises UsageError where the page cannot listen, before anything is touched."""
    name, number = host(), port()
    where = f"{name:.60}:{number}"
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name.strip("[]"), number, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise UsageError(f"the page cannot be served at {where}: {error.strerror}") from None
    except UnicodeError:
        raise UsageError(f"the page cannot be served at {where}: this is no host") from None

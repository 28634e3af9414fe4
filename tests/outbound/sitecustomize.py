"""Python processes that find this on their path connect to this machine alone; what else they try is noted."""

from __future__ import annotations

import ipaddress
import os
import sys
from typing import Any

NOTES = os.environ.get("CSI_TEST_CONNECTIONS", "")
NAMES = (None, "", "localhost", b"localhost")


def is_local(host: Any) -> bool:
    """Whether an address, or the name of a host, is this machine's own."""
    try:
        text = host.decode() if isinstance(host, bytes) else host
        address = ipaddress.ip_address(str(text).partition("%")[0])
        return address.is_loopback or address.is_unspecified
    except ValueError:
        return host in NAMES


def look(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuses to connect, send to, or look up another machine."""
    if event in ("socket.connect", "socket.sendto"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    if not is_local(host):
        with open(NOTES, "a") as notes:
            notes.write(f"{event} {host!r}\n")
        raise ConnectionRefusedError(f"{event}: {host!r} is another machine")


if NOTES:
    sys.addaudithook(look)

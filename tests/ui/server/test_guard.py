"""What is let through to Gradio, by the path that Gradio will route by."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope, Send

from csi_demo.ui.server import guard
from csi_demo.ui.server.guard import Guard

CLOSED = [
    "/gradio_api/deep_link",
    "/gradio_api/process_recording",
    "/gradio_api/component_server",
    "/gradio_api/stream/x",
    "/gradio_api/proxy=http://a/",
    "/gradio_api/file=http://127.0.0.1:1/",
    "/gradio_api/file=HTTPS://example.com/",
    "/gradio_api/file/etc/passwd",
    "/gradio_api/vibe-edit",
    "/gradio_api/vibe-code/",
    "/gradio_api/runs",
    "/gradio_api/run-history/records",
    "/gradio_api/dev/reload",
    "/gradio_api/token",
    "/monitoring",
    "/monitoring/summary",
    "/docs",
    "/openapi.json",
    "//gradio_api/deep_link",
    "/gradio_api//deep_link",
    "/GRADIO_API/deep_link",
    "/config/../gradio_api/deep_link",
    "/what/comes/with/the/next/version",
    "/gradio_api/what_comes_with_the_next_version",
]
OPEN = [
    "/",
    "/config",
    "/theme.css",
    "/component.js",
    "/healthz",
    "/assets/index.js",
    "/static/img/logo.svg",
    "/gradio_api/info",
    "/gradio_api/upload",
    "/gradio_api/queue/join",
    "/gradio_api/queue/data",
    "/gradio_api/call/complete",
    "/gradio_api/call/complete/0123",
    "/gradio_api/heartbeat/abc",
    "/gradio_api/file=/tmp/x.png",
    "/gradio_api/mcp/",
    "/gradio_api/mcp/schema",
]


def answer(
    path: str,
    root_path: str = "",
    body: int = 0,
    said: int | None = None,
    through: Guard | None = None,
    kind: bytes = b"multipart/form-data; boundary=b",
) -> int:
    """The status that a request gets: 200 where it comes through with its body."""
    statuses: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            more = (await receive()).get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    headers = [(b"content-type", kind)] + ([] if said is None else [(b"content-length", str(said).encode())])
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "root_path": root_path, "headers": headers}
    try:
        asyncio.run((through or Guard(app))(scope, receive, send))
    except guard.HTTPException as refused:
        return refused.status_code
    return statuses[0]


PREFIXES = [("", ""), ("/csi2", "/csi2"), ("/csi2", ""), ("/a/b", "/a/b"), ("https://example.com/csi2", "")]


@pytest.mark.parametrize(("root_path", "seen"), PREFIXES, ids=str)  # seen: what a proxy leaves of it
def test_the_same_is_open_and_closed_behind_every_prefix(root_path: str, seen: str) -> None:
    for path in CLOSED:
        assert answer(seen + path, root_path) == 404, path
    for path in OPEN:
        assert answer(seen + path, root_path) == 200, path


def test_the_brush_talks_in_json_alone() -> None:
    for path in ("/gradio_api/component_server", "/gradio_api/component_server/"):
        assert answer(path, kind=b"application/json") == 200
        assert answer(path, kind=b"multipart/form-data; boundary=b") == 404
        assert answer(path, kind=b"") == 404
    assert answer("/gradio_api/component_server/x", kind=b"application/json") == 404


def test_a_prefix_counts_once() -> None:
    for path in ("/csi2/csi2/gradio_api/deep_link", "/csi2/csi2/config", "/csi2x/config", "/other/config"):
        assert answer(path, "/csi2") == 404, path


def test_large_bodies_share_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LARGE", 1000)
    monkeypatch.setattr(guard, "MAX_BODY", 5000)
    monkeypatch.setattr(guard, "MAX_LARGE", 9000)
    monkeypatch.setattr(guard, "SECONDS", 1e6)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    one = Guard(app)
    path = "/gradio_api/upload"
    assert answer(path, body=6000, said=6000, through=one) == 413
    assert answer(path, body=6000, through=one) == 413  # which does not say so
    assert answer(path, body=4000, said=4000, through=one) == 200
    assert answer(path, body=1200, through=one) == 200  # takes the room of the largest
    assert answer(path, body=2000, said=2000, through=one) == 503
    assert answer(path, body=2000, through=one) == 503
    assert answer(path, body=900, said=900, through=one) == 200
    monkeypatch.setattr(guard, "SECONDS", -1.0)
    assert answer(path, body=2000, said=2000, through=one) == 200


def test_a_full_disk_is_told_and_other_troubles_of_files_are_not_hidden() -> None:
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("needs /dev/full")
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def write(file: Path) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            with file.open("wb", buffering=0) as opened:
                opened.write(b"x")

        scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "root_path": "", "headers": []}
        await Guard(app)(scope, receive, send)

    asyncio.run(write(full))
    assert said[0]["status"] == 507
    assert said[1]["body"].decode() == guard.NO_ROOM
    with pytest.raises(FileNotFoundError):
        asyncio.run(write(Path("/nowhere/at/all")))


def test_a_body_that_breaks_off_is_no_error_of_the_server() -> None:
    met: list[type] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await Request(scope, receive).body()
        except ClientDisconnect as error:
            met.append(type(error))
            raise

    messages = iter([{"type": "http.request", "body": b"half", "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        raise AssertionError("there is nobody to answer")

    scope = {"type": "http", "method": "POST", "path": "/gradio_api/upload", "root_path": "", "headers": []}
    asyncio.run(Guard(app)(scope, receive, send))
    assert met == [ClientDisconnect]

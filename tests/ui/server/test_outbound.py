"""No connection leaves the server, whatever it is asked for; every other test of the page looks at that, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ...server import GUARD, Server, serving
from ...visitor import FRAME_FILE

ADDRESSES = (
    *("http://93.184.215.14/x.png", "https://example.com/x.png", "HTTP://EXAMPLE.COM/x.png", "ftp://example.com/x.png"),
    *("http://169.254.169.254/latest/meta-data", "http://[2606:2800:21f::1]/x.png", "//example.com/x.png"),
)
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("outbound")) as server:
        yield server


def files(address: str) -> Iterator[Any]:
    """Ways to name a file that lies elsewhere."""
    yield address
    yield {"path": address, "meta": META}
    yield {"path": "x.png", "url": address, "meta": META}
    yield {"path": address, "url": address, "orig_name": "x.png", "size": 1, "is_stream": True, "meta": META}
    yield [{"path": address, "meta": META}]
    yield {"deep": {"deeper": [{"path": address, "meta": META}]}}
    yield {"path": address, "meta": "gradio.FileData"}
    yield {"path": address, "size": "no number", "meta": META}


def answer(server: Server, name: str, values: list[Any]) -> str:
    """What an endpoint says in the end."""
    route = f"{server.url}gradio_api/call/{name}"
    event = httpx.post(route, json={"data": values}, timeout=60).json()["event_id"]
    return httpx.get(f"{route}/{event}", timeout=120).text


def test_the_guard_notes_what_is_tried(tmp_path: Path) -> None:
    code = "import urllib.request as r\ntry: r.urlopen('http://93.184.215.14/x', timeout=2)\nexcept OSError: pass"
    notes = tmp_path / "tried"
    environment = {**os.environ, "PYTHONPATH": GUARD, "CSI_TEST_CONNECTIONS": str(notes)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert "93.184.215.14" in notes.read_text()


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_address_is_fetched_from_any_argument(alone: Server, address: str) -> None:
    """The case: `complete` with a file whose path is an address fetched it."""
    photo = FRAME_FILE.read_bytes().hex()
    for file in files(address):
        calls: dict[str, list[list[Any]]] = {
            "complete": [[file], [photo, file], [photo, "mouth", "csi", 0, 1, file]],
            "compare": [[file], [photo, file]],
            "edit": [[file], [photo, [{"x": 1, "file": file}]]],
            "list_controls": [[file]],
        }
        for name, some in calls.items():
            for values in some[: None if address == ADDRESSES[0] else 1]:
                said = answer(alone, name, values)
                assert said.startswith("event: error"), said
                assert "null" not in said, (name, values)
    assert alone.tried() == []
    assert "Traceback" not in alone.log.read_text()


def test_no_address_is_fetched_for_a_language_model(alone: Server) -> None:
    for address in ADDRESSES:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call"}
        body["params"] = {"name": "complete", "arguments": {"picture": address}}  # type: ignore[assignment]
        kind = {"Accept": "application/json, text/event-stream"}
        said = httpx.post(f"{alone.url}gradio_api/mcp/", json=body, headers=kind, timeout=120).text
        assert "error" in said.lower(), said
    assert alone.tried() == []


def test_too_deep_a_value_is_a_sentence(alone: Server) -> None:
    deep: Any = 0
    for _ in range(200):
        deep = [deep]
    assert "nested too deeply" in answer(alone, "complete", [deep])
    assert json.loads(answer(alone, "complete", [{"path": "/etc/passwd", "meta": META}]).partition("data: ")[2])


def test_a_photo_that_was_sent_is_taken(alone: Server) -> None:
    (path,) = httpx.post(f"{alone.url}gradio_api/upload", files={"files": FRAME_FILE.read_bytes()}).json()
    said = answer(alone, "complete", [{"path": path, "meta": META}, "mouth", "vae-oneshot", 0, 1, {"iterations": 1}])
    assert said.startswith("event: complete")
    assert not Path(path).exists()

"""Paths and files that visitors may send by mistake or malice, on the real server."""

from __future__ import annotations

import json
import secrets
import socket
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from csi_demo.ops.soaking import Visitor
from csi_demo.surroundings import user
from csi_demo.ui.server import files

from ...server import Server
from ...visitor import FRAME_FILE

NAME = "holiday-with-aunt-mary.png"

# Paths


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../../etc/passwd",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%2e%2e/%2e%2e/app.py",
        "app.py",
        "weights/manifest.json",
        "examples/../app.py",
        "//etc/passwd",
        "/proc/self/environ",
        "file:///etc/passwd",
        "http://127.0.0.1:1/",
        "https://example.com/",
    ],
)
def test_no_file_and_no_other_host_is_served(server: Server, path: str) -> None:
    answer = httpx.get(f"{server.url}gradio_api/file={path}")
    assert answer.status_code in (403, 404)
    assert "root:" not in answer.text
    assert "csi_demo" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../../../etc/passwd",
        "{files}/../log",
        "{files}",
        "examples/astronaut.png",
        "a\0b",
        "",
        7,
        None,
        {},
    ],
)
def test_the_painter_takes_uploads_only(server: Server, visitor: Visitor, path: Any) -> None:
    path = path.format(files=server.files) if isinstance(path, str) else path
    visitor.set("painter", json.dumps({"upload": path}))
    visitor.send(visitor.event("painter", "upload"))
    assert json.loads(visitor.shown("painter"))["trouble"] == "The photo did not arrive. Choose it again."
    assert server.log.is_file()


@pytest.mark.parametrize("name", ["../../../evil.png", "/tmp/evil.png", "..", "a" * 5000 + ".png", "evil\r\nX: y.png"])
def test_an_upload_stays_in_its_folder(server: Server, name: str) -> None:
    boundary = secrets.token_hex(8)
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
    body = head.encode() + FRAME_FILE.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    answer = httpx.post(f"{server.url}gradio_api/upload", content=body, headers=kind)
    if answer.status_code == 200:
        (path,) = answer.json()
        assert Path(path).resolve().is_relative_to(server.files.resolve())
    else:
        assert answer.status_code in (400, 413)
    assert not (server.files.parent / "evil.png").exists()


@pytest.mark.parametrize(
    "picture",
    [
        {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
        {"path": "app.py", "meta": {"_type": "gradio.FileData"}},
        {"path": "http://127.0.0.1:1/x.png", "meta": {"_type": "gradio.FileData"}},
        {"path": "x", "url": "file:///etc/passwd", "meta": {"_type": "gradio.FileData"}},
    ],
)
def test_the_endpoints_take_uploads_only(server: Server, picture: dict[str, Any]) -> None:
    calls = f"{server.url}gradio_api/call/complete"
    number = httpx.post(calls, json={"data": [picture]}, timeout=60).json()["event_id"]
    answer = httpx.get(f"{calls}/{number}", timeout=60).text
    assert "event: error" in answer
    assert "root:" not in answer


@pytest.mark.parametrize("route", ["process_recording", "component_server", "vibe-edit/", "stream/x"])
def test_routes_that_are_not_used_are_closed(server: Server, route: str) -> None:
    assert httpx.post(f"{server.url}gradio_api/{route}", files={"video": (NAME, b"x")}).status_code == 404


@pytest.mark.parametrize("route", ["gradio_api/deep_link?session_hash=x", "gradio_api/proxy=http://a/", "monitoring"])
def test_pages_that_are_not_used_are_closed(server: Server, route: str) -> None:
    assert httpx.get(f"{server.url}{route}").status_code == 404


# Files


@pytest.mark.slow
def test_an_upload_that_broke_off_and_one_that_nobody_asked_for_are_deleted(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 20) as line:
        head = "POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n"
        part = f'--b\r\nContent-Disposition: form-data; name="files"; filename="{NAME}"\r\n\r\n'
        line.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n{part}".encode() + b"x" * 200_000)
        time.sleep(1)
    Visitor(server.url).upload(FRAME_FILE.read_bytes(), NAME)
    httpx.post(f"{server.url}gradio_api/upload", files={"other": (NAME, b"x" * 100)})
    time.sleep(1)
    left = [file for file in server.files.rglob("*") if file.is_file()]
    assert len(left) >= 3
    own = server.files / f"csi-demo-{user()}-{server.port}"
    files.sweep(own=own)
    assert all(file.is_file() for file in left)  # they may still be used
    files.sweep(0.5, own)
    assert not any(file.is_file() for file in left)


@pytest.mark.slow
def test_a_sweep_spares_what_is_young(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("x")
    time.sleep(1.2)
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "file").write_text("x")
    files.sweep(1.0, tmp_path)
    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")) == ["old", "young", "young/file"]
    time.sleep(1.2)
    files.sweep(1.0, tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "young"]
    files.sweep(0, tmp_path)
    assert list(tmp_path.iterdir()) == []

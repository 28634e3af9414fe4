"""What visitors may send by mistake or malice, and how they leave, on the real server."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from csi_demo.ops.soaking import BusyError, TroubleError, Visitor
from csi_demo.ui import painter
from csi_demo.ui.server.guard import MAX_BODY

from ...server import Server
from ...visitor import LONG, noise

PATIENCE = 120  # seconds, on a machine however busy


def still_serves(server: Server) -> None:
    """Another visitor's fill works."""
    one = Visitor(server.url)
    with one:
        one.set("samples", 1)
        one.paint_on(noise(64, 64))
        one.fill()
        assert "Filled in" in one.shown("status")


def wait_until_idle(server: Server) -> None:
    """Nothing runs and nothing waits."""
    deadline = time.monotonic() + PATIENCE
    while (health := httpx.get(f"{server.url}healthz").json())["running"] or health["waiting"]:
        assert time.monotonic() < deadline, health
        time.sleep(0.2)


# Other sites


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://127.0.0.1.evil"]
)
def test_another_site_cannot_read_the_answers(server: Server, origin: str) -> None:
    for answer in (
        httpx.get(f"{server.url}config", headers={"Origin": origin}),
        httpx.post(f"{server.url}gradio_api/queue/join", json={}, headers={"Origin": origin}),
        httpx.options(
            f"{server.url}gradio_api/queue/join", headers={"Origin": origin, "Access-Control-Request-Method": "POST"}
        ),
    ):
        assert "access-control-allow-origin" not in answer.headers


def test_another_site_cannot_send_events_without_asking_first(server: Server) -> None:
    body = json.dumps({"data": [], "fn_index": 0, "session_hash": "forged"})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):  # what a form may send without a preflight
        answer = httpx.post(f"{server.url}gradio_api/queue/join", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 422


# Much and malformed


def answered(server: Server, visitor: Visitor, value: Any) -> str:
    """What the page says to the painter's value when the hole is shown and filled."""
    visitor.set("painter", value)
    visitor.send(visitor.event("painter", "input"))
    masked = visitor.shown("masked")
    visitor.fill()
    return masked + visitor.shown("status")


def test_too_large_a_value_is_one_line_and_is_not_kept(server: Server, visitor: Visitor) -> None:
    before = server.memory()
    for _ in range(5):
        said = answered(server, visitor, "[" * (painter.MAX_LENGTH + 1))
        assert said.count("too many small parts") == 2
    for value in ("[" * 20_000_000, [0] * 1_000_000, {"deep": [[[]]]}):
        visitor.set("painter", value)
        with pytest.raises(TroubleError, match="nothing that the page sends"):
            visitor.send(visitor.event("painter", "input"))
    assert server.memory() - before < 400 * 2**20
    still_serves(server)


def test_a_body_without_end_is_refused(server: Server) -> None:
    host = urlsplit(server.url).netloc
    for route in ("gradio_api/queue/join", "gradio_api/upload", "gradio_api/mcp/", ""):
        with socket.create_connection(("127.0.0.1", server.port), 20) as line:
            said = f"POST /{route} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {MAX_BODY + 1}\r\n\r\n"
            line.sendall(said.encode())
            assert line.recv(100).startswith(b"HTTP/1.1 413")

    def chunks() -> Iterator[bytes]:
        for _ in range(MAX_BODY // 2**20 + 2):
            yield b" " * 2**20

    before = server.memory()
    with contextlib.suppress(httpx.WriteError, httpx.RemoteProtocolError, httpx.ReadError):
        kind = {"Content-Type": "application/json"}
        answer = httpx.post(f"{server.url}gradio_api/queue/join", content=chunks(), headers=kind, timeout=60)
        assert answer.status_code == 413
    assert server.memory() - before < 4 * MAX_BODY


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 100_000, b"null", b'{"data": 1}', b"\xff\xfe", b'{"data":[],"fn_index":1e9}']
)
def test_a_body_that_is_no_event_is_a_4xx(server: Server, body: bytes) -> None:
    kind = {"Content-Type": "application/json"}
    answer = httpx.post(f"{server.url}gradio_api/queue/join", content=body, headers=kind)
    assert 400 <= answer.status_code < 500
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "value",
    ["{", "[]", "null", '"x"', "1" * 5000, "{}", '{"photo": 1}', '{"photo": "\\ud800"}', "[" * 100_000, 7, True],
)
def test_a_malformed_painting_is_one_line(server: Server, visitor: Visitor, value: Any) -> None:
    said = re.sub("<[^>]*>", " ", answered(server, visitor, value))
    assert re.search("cannot be read|no longer here|Choose a photo", said)


@pytest.mark.parametrize("element", ["seed", "samples", "slider-0"])
def test_a_long_text_where_a_number_belongs_is_one_line(visitor: Visitor, element: str) -> None:
    visitor.set(element, LONG)
    visitor.fill()
    assert "csi-trouble" in visitor.shown("status") or "is a whole number" in visitor.shown("status")
    assert len(visitor.shown("status")) < 500


@pytest.mark.parametrize("element", ["place-x", "place-y", "place-size", "place-turn"])
def test_a_long_text_for_the_square_is_one_line(visitor: Visitor, element: str) -> None:
    visitor.set(element, LONG)
    visitor.send(visitor.event(element, "input"))
    assert "of the square is a number from" in json.loads(visitor.shown("painter"))["trouble"]


# Other visitors


def test_keys_have_128_bits_and_a_guessed_one_gives_nothing(server: Server, visitor: Visitor) -> None:
    key = json.loads(visitor.shown("painter"))["photo"]
    assert len(base64.urlsafe_b64decode(f"{key}==")) == 16
    visitor.set(
        "painter", json.dumps({"photo": key[:-1] + ("A" if key[-1] != "A" else "Q"), "size": [64, 64], "runs": []})
    )
    visitor.send(visitor.event("painter", "input"))
    assert "no longer here" in visitor.shown("masked")


def test_a_session_cannot_be_given_the_state_of_another(server: Server, visitor: Visitor) -> None:
    visitor.fill()
    saving = visitor.event("save", "click")
    result, *_ = saving["inputs"]
    thief = Visitor(server.url)
    with thief:
        thief.values[result] = visitor.values[result]  # states stay on the server: what is sent for one counts nothing
        thief.send(saving)
        assert "no longer here" in thief.shown("status")
    visitor.send(saving)
    assert "no longer here" not in visitor.shown("status")


# Lost connections


@pytest.mark.slow
def test_a_visitor_who_leaves_half_way_ends_the_work(server: Server, visitor: Visitor) -> None:
    visitor.set("method", "dcgan")
    leaving = [Visitor(server.url) for _ in range(4)]  # two work at once
    for one in leaving:
        one.values = dict(visitor.values)
        one.set("painter", visitor.shown("painter"))
        pressed = one.event("fill", "click")
        one.send(pressed)
        one.send(one.after(pressed), leave=True)
        one.http.close()
    still_serves(server)
    wait_until_idle(server)  # none of the four goes on


def test_an_unknown_session_is_told_so_without_a_word_in_the_log(server: Server) -> None:
    before = len(server.log.read_text())
    answer = httpx.get(f"{server.url}gradio_api/queue/data?session_hash=nobody", timeout=30)
    assert json.loads(answer.text.removeprefix("data:"))["session_not_found"]
    assert "event: error" in httpx.get(f"{server.url}gradio_api/call/complete/nobody", timeout=30).text
    assert "Traceback" not in server.log.read_text()[before:]


@pytest.mark.slow
def test_who_listens_late_hears_all(server: Server, visitor: Visitor) -> None:
    fill = visitor.after(visitor.event("fill", "click"))
    visitor.join(fill)
    time.sleep(3)
    still_serves(server)
    where = f"{server.url}gradio_api/queue/data?session_hash={visitor.session}"
    assert '"process_completed"' in httpx.get(where, timeout=30).text


@pytest.mark.slow
def test_half_open_connections_do_not_keep_others_out(server: Server) -> None:
    host = urlsplit(server.url).netloc
    lines = [socket.create_connection(("127.0.0.1", server.port), 20) for _ in range(50)]
    for index, line in enumerate(lines):
        said = f"POST /gradio_api/queue/join HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\n{{"
        line.sendall(said.encode()[: 20 + 10 * index])
    still_serves(server)
    for line in lines:
        line.close()
    still_serves(server)


def join_often(visitor: Visitor, event: dict[str, Any]) -> None:
    for _ in range(40):
        visitor.join(event)


@pytest.mark.slow
def test_a_full_queue_is_said_in_one_line(server: Server, visitor: Visitor) -> None:
    visitor.set("method", "dcgan")
    fill = visitor.after(visitor.event("fill", "click"))
    with pytest.raises(BusyError):
        join_often(visitor, fill)
    data = [visitor.values.get(number) for number in fill["inputs"]]
    body = {"data": data, "fn_index": fill["id"], "session_hash": visitor.session}
    answer = visitor.http.post(f"{server.url}gradio_api/queue/join", json=body)
    assert (answer.status_code, "Queue is full" in answer.json()["detail"]) == (503, True)
    turned_away = visitor.after(fill)
    assert turned_away["trigger_only_on_failure"]
    with visitor.http.stream("GET", f"{server.url}gradio_api/queue/data?session_hash={visitor.session}"):
        pass  # who hangs up takes the events along
    wait_until_idle(server)

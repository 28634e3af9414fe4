"""What visitors may send by mistake or malice, on the real server, and every handler fuzzed without weights."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import orjson
import pytest
from gradio import Error
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from csi_demo.soaking import BusyError, TroubleError, Visitor
from csi_demo.ui import api, engine, examples, files, filling, handlers, painter, photo
from csi_demo.ui.engine import MAX_CONTROLS, MAX_OPTIONS, PageError
from csi_demo.ui.guard import MAX_BODY

from .server import Server, serving
from .visitor import FRAME_FILE, PlainMethod, a_photo, file_of, noise

NAME = "holiday-with-aunt-mary.png"
LONG = "7" * 10_000
BROWSER_GONE = 30  # seconds within which the server notices


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(tmp_path_factory.mktemp("safety")) as running:
        yield running
    said = running.log.read_text()
    assert not re.search("base64|holiday|mary|photo-|PNG", said, re.IGNORECASE), said[-3000:]
    assert not any(file.is_file() for file in running.files.rglob("*"))  # it leaves nothing behind


@pytest.fixture
def visitor(server: Server) -> Iterator[Visitor]:
    """Somebody with a photo, its mouth painted out."""
    one = Visitor(server.url)
    with one:
        one.set("samples", 1)
        one.paint_on(noise(64, 64))
        yield one


def still_serves(server: Server) -> None:
    """Another visitor's fill works."""
    one = Visitor(server.url)
    with one:
        one.set("samples", 1)
        one.paint_on(noise(64, 64))
        one.fill()
        assert "Filled 1 sample" in one.shown("status")


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
    assert json.loads(visitor.shown("painter")) == {"trouble": "The photo did not arrive. Choose it again."}
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
    (result,) = saving["inputs"]
    thief = Visitor(server.url)
    with thief:
        thief.values[result] = visitor.values[result]  # states stay on the server: what is sent for one counts nothing
        thief.send(saving)
        assert "no longer here" in thief.shown("status")
    visitor.send(saving)
    assert "no longer here" not in visitor.shown("status")


# Lost connections


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
    began = time.monotonic()
    still_serves(server)
    assert time.monotonic() - began < BROWSER_GONE


def test_an_unknown_session_is_told_so_without_a_word_in_the_log(server: Server) -> None:
    before = len(server.log.read_text())
    answer = httpx.get(f"{server.url}gradio_api/queue/data?session_hash=nobody", timeout=30)
    assert json.loads(answer.text.removeprefix("data:"))["session_not_found"]
    assert "event: error" in httpx.get(f"{server.url}gradio_api/call/complete/nobody", timeout=30).text
    assert "Traceback" not in server.log.read_text()[before:]


def test_who_listens_late_hears_all(server: Server, visitor: Visitor) -> None:
    fill = visitor.after(visitor.event("fill", "click"))
    visitor.join(fill)
    time.sleep(3)
    still_serves(server)
    where = f"{server.url}gradio_api/queue/data?session_hash={visitor.session}"
    assert '"process_completed"' in httpx.get(where, timeout=30).text


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


# Files


def test_an_upload_that_broke_off_and_one_that_nobody_asked_for_are_deleted(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(server.files))
    files.sweep()
    assert all(file.is_file() for file in left)  # they may still be used
    files.sweep(0.5)
    assert not any(file.is_file() for file in left)


def test_a_sweep_spares_what_is_young(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "file").write_text("x")
    time.sleep(1.2)
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "file").write_text("x")
    files.sweep(1.0)
    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.rglob("*")) == ["old", "young", "young/file"]
    time.sleep(1.2)
    files.sweep(1.0)
    assert list(tmp_path.iterdir()) == [tmp_path / "young"]
    files.sweep(0)
    assert list(tmp_path.iterdir()) == []


# Fuzzing

texts = st.text(max_size=30) | st.sampled_from(
    ["plain", "Crisp", LONG, "\ud800", "nan", "inf", "1e999", "\0", "²", "٣"]
)
numbers = st.integers() | st.floats() | st.sampled_from([2**63, -(2**63) - 1, 10**400, True, float("nan")])
values: st.SearchStrategy[Any] = st.deferred(
    lambda: st.none() | numbers | texts | st.lists(values, max_size=4) | st.dictionaries(texts, values, max_size=4)
)
fuzzed = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


def sendable(update: Any) -> None:
    """What a handler returns can be sent to a browser."""
    orjson.dumps(update, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_DATACLASS)


@pytest.fixture(scope="module")
def shown() -> photo.Photo:
    patched = pytest.MonkeyPatch()
    patched.setattr("csi_demo.ui.photo._faces", lambda picture: [])
    made = a_photo(file_of(noise(80, 60)))
    patched.undo()
    return made


@st.composite
def paintings(draw: Any) -> Any:
    """Anything, and what is nearly right."""
    content = {"photo": PHOTO_KEY, "size": [80, 60], "runs": [0, 4800]}
    for name in draw(st.sets(st.sampled_from(sorted(content)))):
        content[name] = draw(values | st.lists(st.integers(0, 4800), max_size=5))
    return draw(values | st.just(json.dumps(content)) | values.map(json.dumps))


PHOTO_KEY = "the-fuzzed-photo"


@pytest.fixture
def fuzz(method: PlainMethod, faces: list[Any], shown: photo.Photo) -> None:
    """A photo under the fuzzed key, and the only method."""
    from dataclasses import replace

    photo.keep(replace(shown, key=PHOTO_KEY))


@fuzzed
@given(values, st.tuples(st.integers(1, 20), st.integers(1, 20)))
def test_any_painting_is_read_or_refused(value: Any, size: tuple[int, int]) -> None:
    try:
        content = painter.read(value)
    except PageError as error:
        sendable(str(error))
        return
    with contextlib.suppress(PageError):
        assert painter.to_mask(content, size).shape == size[::-1]


@fuzzed
@given(st.dictionaries(st.sampled_from(["size", "runs", "photo"]), values | st.lists(st.integers(-3, 30))))
@example({"size": [4, 3], "runs": [True, 11]})
@example({"size": [4.0, 3], "runs": [12]})
def test_any_runs_are_a_mask_or_refused(content: dict[str, Any]) -> None:
    with contextlib.suppress(PageError):
        mask = painter.to_mask({"size": [4, 3]} | content, (4, 3))
        assert (mask.shape, mask.dtype) == ((3, 4), bool)


@fuzzed
@given(paintings(), values, values, values, values, values)
@example(json.dumps({"photo": PHOTO_KEY}), LONG, LONG, LONG, LONG, LONG)
@example(json.dumps({"photo": PHOTO_KEY}), "²", float("nan"), float("inf"), 10**400, True)
def test_the_handlers_of_the_photo_never_fail(
    fuzz: None, painting: Any, one: Any, x: Any, y: Any, size: Any, turn: Any
) -> None:
    sendable(handlers.show_masked(painting, one))
    updates = handlers.choose_face(painting, one)
    assert len(updates) == 6
    sendable(updates)
    updates = handlers.place_by_hand(painting, x, y, size, turn)
    assert len(updates) == 2
    sendable(updates)
    sendable(handlers.take_upload(painting))


@fuzzed
@given(values, paintings())
def test_drawing_sliders_never_fails(fuzz: None, name: Any, painting: Any) -> None:
    updates = handlers.draw_sliders(name, painting)
    assert len(updates) == 7 + MAX_CONTROLS + MAX_OPTIONS
    sendable(updates[1:])


@fuzzed
@given(paintings(), st.lists(values, min_size=6, max_size=6), st.lists(values, max_size=20))
def test_filling_never_fails(fuzz: None, painting: Any, arguments: list[Any], slots: list[Any]) -> None:
    method, look, where, start, seed, samples = arguments
    for update in filling.fill(method, painting, look, where, start, seed, samples, *slots):
        assert len(update) == 6 + filling.FOLLOWING
        sendable(update)
    for update in filling.refill(start, method, painting, look, where, start, seed, samples, *slots):
        assert len(update) == 7 + filling.FOLLOWING
        sendable(update)


@fuzzed
@given(st.lists(values, max_size=20))
def test_any_slider_values_are_used_or_refused(fuzz: None, slots: list[Any]) -> None:
    what = json.dumps({"photo": PHOTO_KEY, "size": [80, 60], "runs": [0, 4800]})
    start, *_ = handlers.draw_sliders("plain", what)
    updates = list(filling.fill("plain", what, "Crisp", "64x64", start, 0, 1, *slots))
    assert len(updates) >= 2
    sendable(updates)
    sendable(list(filling.refill(None, "plain", what, "Crisp", "64x64", start, 0, 1, *slots)))


@fuzzed
@given(values)
@example(["csi"])
@example({"csi": 1})
@example("\ud800")
def test_any_method_is_known_or_refused(name: Any) -> None:
    with pytest.raises(PageError) as caught:
        engine.load(name or "none")
    sendable(str(caught.value))


FRAME_TEXT = base64.b64encode(FRAME_FILE.read_bytes()).decode()


@fuzzed
@given(
    st.just(FRAME_TEXT) | values,
    st.just("mouth") | values,
    values,
    st.just(0) | values,
    st.just(1) | values,
    st.none() | st.dictionaries(texts | st.just("smile"), values, max_size=3),
    st.just(1) | values,
)
@example(FRAME_TEXT, "mouth", "plain", 0, 1, {"smile": 10**400}, 1)
@example(FRAME_TEXT, "random:" + "9" * 33, "plain", 0, 1, None, 1)
@example(FRAME_TEXT, "random:²", "plain", 0, 1, None, 1)
@example(FRAME_TEXT, "mouth", "plain", 0, 1, {"\ud800": "x"}, 1)
@example("\ud800", "mouth", "plain", 0, 1, None, 1)
def test_the_endpoints_raise_their_own_errors_only(
    fuzz: None, picture: Any, mask: Any, method: Any, seed: Any, samples: Any, given_settings: Any, face: Any
) -> None:
    for call, arguments in (
        (api.complete, (picture, mask, method, seed, samples, given_settings, face)),
        (api.compare, (picture, mask, seed, face)),
        (api.list_controls, (method,)),
    ):
        try:
            sendable(call(*arguments))  # type: ignore[operator]
        except Error as error:
            sendable(str(error))


PHOTOS = sorted({one.photo for one in examples.all_examples()})


@fuzzed
@given(
    st.dictionaries(texts, texts)
    | st.fixed_dictionaries(
        {"photo": st.sampled_from(PHOTOS)},
        optional={
            "hole": texts | st.sampled_from(["mouth", "painted:", "painted:AAAA", "random:²", "1,2,3,4"]),
            "seed": texts | st.integers().map(str),
            "samples": texts | st.integers(-1, 9).map(str),
            "method": texts,
            "set": texts | st.builds("smile:{}".format, st.floats() | texts),
            "place": texts | st.builds("{},{},{},{}".format, st.floats(), st.floats(), st.floats(), st.floats()),
        },
    )
)
@example({"photo": PHOTOS[0], "seed": "9" * 300})
@example({"photo": PHOTOS[0], "set": "smile:nan,spread:inf"})
@example({"photo": PHOTOS[0], "hole": "random:²"})
def test_any_link_opens_or_is_refused(fuzz: None, query: dict[str, str]) -> None:
    try:
        linked = examples.from_link(query)
    except PageError:
        return
    if linked:
        updates = handlers.open_example(linked)
        sendable(updates)
        if "photo" in (scene := json.loads(updates[0])):
            scene = {name: scene.get(name) for name in ("photo", "size", "runs")}
            sendable(handlers.draw_sliders("plain", json.dumps(scene))[1:])

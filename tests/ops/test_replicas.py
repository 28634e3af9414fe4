"""Two replicas behind nginx, as deploy/ describes it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from csi_demo.errors import SoakError
from csi_demo.ops.replicas import Nginx, nginx_program
from csi_demo.ops.soaking import Visitor

from ..server import Server, serving

pytestmark = pytest.mark.slow

try:
    nginx_program()
except SoakError as missing:
    pytest.skip(str(missing), allow_module_level=True)


class Proxy(Nginx):
    """nginx, run by the recipe in front of two servers."""

    def newcomer(self) -> Visitor:
        """A visitor who has opened the page."""
        return Visitor(self.url, cookies=httpx.get(self.url).raise_for_status().cookies)

    def used(self, visitor: Visitor) -> set[str]:
        """Where a visit leads to: photo, hole and one fill."""
        log = self.folder / "access.log"
        before = log.stat().st_size
        visitor.set("samples", 1)
        visitor.paint_on(Image.new("RGB", (64, 64), (200, 120, 40)))
        visitor.fill()
        assert "Filled in" in visitor.shown("status")
        lines = log.read_text()[before:].splitlines()
        assert len(lines) > 5
        return {line.split()[-1] for line in lines}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    with serving(tmp_path_factory.mktemp("first")) as first, serving(tmp_path_factory.mktemp("second")) as second:
        yield first, second


@pytest.fixture(scope="module")
def proxy(servers: tuple[Server, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    running = Proxy(tmp_path_factory.mktemp("nginx"), [one.port for one in servers])
    try:
        yield running
    finally:
        running.stop()


def test_a_visitor_stays_with_one_replica_and_visitors_are_spread(proxy: Proxy) -> None:
    places: set[str] = set()
    for _ in range(20):
        with proxy.newcomer() as visitor:
            (place,) = proxy.used(visitor)
        places.add(place)
        if len(places) == 2:
            return
    raise AssertionError("twenty visitors at one replica")


def test_programs_without_cookies_stay_with_one_replica(proxy: Proxy) -> None:
    with Visitor(proxy.url) as visitor:
        assert not visitor.http.cookies
        assert len(proxy.used(visitor)) == 1


def test_the_cookie_is_set_once_and_for_the_page_alone(proxy: Proxy) -> None:
    first = httpx.get(proxy.url)
    assert re.fullmatch("csi_visitor=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax", first.headers["set-cookie"])
    assert "set-cookie" not in httpx.get(proxy.url, cookies=first.cookies).headers
    assert "set-cookie" not in httpx.get(f"{proxy.url}config").headers


def test_nothing_that_is_sent_is_written_down(proxy: Proxy) -> None:
    httpx.get(f"{proxy.url}?photo=secret-query")
    with socket.create_connection(("127.0.0.1", httpx.URL(proxy.url).port), 20) as line:
        line.sendall(b"POST /gradio_api/upload HTTP/1.1\r\nHost: a\r\nContent-Length: 200000000\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 413")
    logs = (proxy.folder / "access.log").read_text()
    assert not re.search("secret-query|photo-|session_hash", logs)
    assert not any(file.is_file() for name in ("body", "proxy") for file in (proxy.folder / name).rglob("*"))


def test_a_replica_that_is_down_costs_a_visitor_the_photo_alone(servers: tuple[Server, Server], tmp_path: Path) -> None:
    (tmp_path / "nginx").mkdir()
    with serving(tmp_path) as going:
        proxy = Proxy(tmp_path / "nginx", [servers[0].port, going.port])
        try:
            for _ in range(20):
                visitor = proxy.newcomer()
                (place,) = proxy.used(visitor)
                if place.endswith(f":{going.port}"):
                    break
            else:
                raise AssertionError("twenty visitors at the other replica")
            going.process.terminate()
            going.process.wait(20)
            assert {one.rstrip(",") for one in proxy.used(visitor)} - {place}
        finally:
            proxy.stop()

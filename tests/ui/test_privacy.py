"""Nothing of a visitor's photo is anywhere once its time is over: files, logs, metrics, the server's memory."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from PIL import Image, PngImagePlugin
from playwright.sync_api import Browser

from csi_demo.data import cache_folder

from ..server import Server, serving
from .browsing import PORTRAIT, filled, opened, settle, upload

# The real page, where everything is kept for a quarter of a minute.
SOON = """
from csi_demo.methods import recent
from csi_demo.ui.server import files, keep
keep.KEPT_MINUTES = 0.25
recent.SECONDS_KEPT = 15
files.sweep.__defaults__ = (15, None)
keep.regularly.__kwdefaults__["interval"] = 3.0
from csi_demo.ui.launch import run
run()
"""
PATIENCE = 150.0  # seconds
REST = 8192  # bytes: of memory that was freed, the ends that lie on a page with something else


def marked(file: Path) -> tuple[bytes, ...]:
    """A portrait with random pixels along its edge and a random comment; and what may be found again: the pixels as
    Pillow has them, with a fourth byte, the pixels as arrays have them, the comment."""
    rng, comment = np.random.default_rng(), secrets.token_hex(24)
    pixels = np.array(Image.open(PORTRAIT).convert("RGB"))
    tile = rng.integers(0, 256, (1, 16, 3), dtype=np.uint8)
    pixels[:40] = np.tile(tile, (40, pixels.shape[1] // 16 + 1, 1))[:, : pixels.shape[1]]
    told = PngImagePlugin.PngInfo()
    told.add_text("Comment", comment)
    Image.fromarray(pixels).save(file, pnginfo=told)
    return np.dstack((tile, np.full((1, 16), 255, np.uint8))).tobytes(), tile.tobytes(), comment.encode()


def left_in(pid: int, marks: tuple[bytes, ...]) -> int:
    """How many bytes of pixels the process' writable memory holds."""
    found = 0
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            first, last = (int(end, 16) for end in span.split("-"))
            try:
                memory.seek(first)
                content = memory.read(last - first)
            except (OSError, OverflowError, ValueError):  # not readable, as those of devices are
                continue
            found += sum(len(mark) * content.count(mark) for mark in marks[:2])
    return found


def in_files(folders: list[Path], marks: tuple[bytes, ...]) -> list[Path]:
    """The files below folders that hold any of these bytes."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    return [file for file in files if any(mark in file.read_bytes() for mark in marks)]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    if not os.access("/proc/self/mem", os.R_OK):
        pytest.skip("looks into the memory of a process, as Linux shows it")
    (tmp_path / "served").mkdir()
    with serving(tmp_path / "served", "-c", SOON) as running:
        yield running


@pytest.mark.slow
def test_nothing_of_a_photo_stays_when_its_time_is_over(server: Server, browser: Browser, tmp_path: Path) -> None:
    photo = tmp_path / "holiday.png"
    marks = marked(photo)
    with opened(browser, server.url, viewport={"width": 1280, "height": 900}) as page:
        upload(page, photo)
        settle(page)
        page.click("#fill")
        settle(page)
        filled(page)
        assert left_in(server.process.pid, marks) > 10 * REST, "the test would not find what it looks for"
    client = Client(server.url, verbose=False)
    client.predict(handle_file(photo), "eyes", "csi", api_name="/complete")
    with pytest.raises(Exception, match="no such hole"):
        client.predict(handle_file(photo), "no such hole", "csi", api_name="/complete")
    client.close()
    folders, deadline = [server.files, server.log.parent, cache_folder()], time.monotonic() + PATIENCE
    while left_in(server.process.pid, marks) > REST or in_files(folders, marks):
        assert time.monotonic() < deadline, (left_in(server.process.pid, marks), in_files(folders, marks))
        time.sleep(5.0)
    metrics = httpx.get(f"{server.url}metrics").text
    assert "holiday" not in metrics + server.log.read_text()
    assert [file for file in server.files.rglob("*") if file.is_file()] == []

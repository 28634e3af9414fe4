"""One server for all tests of the page in a browser, and the page in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from ..server import serving
from .browsing import CHROMIUM, FLAGS, opened


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ``python app.py`` answers, with the real weights."""
    with serving(tmp_path_factory.mktemp("page")) as server:
        yield server.url
        assert not re.search("Traceback|base64|secret|photo-", server.log.read_text())
        assert [file for file in server.files.rglob("photo-*") if file.is_file()] == []


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium, or your system's own")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patched:
            if "HOME" not in os.environ:  # which Playwright cannot do without, and what is tested can
                patched.setenv("HOME", str(tmp_path_factory.mktemp("home")))
            playwright = stack.enter_context(sync_playwright())
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """The page on a desk."""
    with opened(browser, url, viewport={"width": 1280, "height": 900}) as page:
        yield page


@pytest.fixture
def phone(browser: Browser, url: str) -> Iterator[Page]:
    """The page in a hand, in the dark."""
    size = {"width": 390, "height": 844}
    with opened(browser, url, viewport=size, has_touch=True, is_mobile=True, color_scheme="dark") as page:
        yield page

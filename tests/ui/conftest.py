"""One server for all tests of the page in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ..server import serving


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where ``python app.py`` answers, with the real weights."""
    with serving(tmp_path_factory.mktemp("page")) as server:
        yield server.url
        assert not re.search("Traceback|base64|secret|photo-", server.log.read_text())
        assert [file for file in server.files.rglob("photo-*") if file.is_file()] == []

"""Files that are written whole or not at all, whatever the disk does meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write to, which takes the place of `path` at the end; nothing is left of it where that fails.

    Raises OSError, which names the path.
    """
    with _parts([path]) as (part,), _synced(part) as file:
        yield file


def write_atomically(path: Path, content: bytes | str) -> None:
    """Writes a file so that a reader, or a crash, never meets half of it. Raises OSError, which names the path."""
    write_all({path: content})


def write_all(contents: Mapping[Path, bytes | str], before: Callable[[], None] = lambda: None) -> None:
    """Writes several files so: all are on the disk before the first, in their order, takes its place.

    before: what is done in between. Raises OSError, which names a path.
    """
    with _parts(contents) as parts:
        for part, content in zip(parts, contents.values(), strict=True):
            with _synced(part) as file:
                file.write(content.encode() if isinstance(content, str) else content)
        before()


@contextmanager
def _parts(paths: Collection[Path]) -> Iterator[list[Path]]:
    """Files to write to, which take the places of these at the end; where that fails, they and their folders go."""
    folders = {folder for path in paths for folder in path.parents if not folder.exists()}
    ours = f"{os.getpid()}-{threading.get_ident()}.part"  # others may write the same
    parts = [path.with_name(f"{path.name}.{ours}") for path in paths]
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        yield parts
        for part, path in zip(parts, paths, strict=True):
            os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            for part in parts:
                part.unlink(missing_ok=True)
            for folder in sorted(folders, reverse=True):  # the innermost first
                folder.rmdir()
        raise


@contextmanager
def _synced(part: Path) -> Iterator[BinaryIO]:
    """A file to write to, which is on the disk when it is closed."""
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = str(part).rpartition(".part")[0].rpartition(".")[0]
        raise

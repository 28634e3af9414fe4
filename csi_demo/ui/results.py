"""What a visitor does with a result: looks at it, chooses a sample, downloads it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from ..errors import PageError
from ..photo import sheets
from ..pixels import png
from . import downloads, render, sharing
from .fills import Display, Result
from .photo import KEPT
from .wiring import Update

CRISP, SMOOTH = "Crisp", "Smooth"
MOST_BESIDE = 12  # fills side by side
IN_PHOTO, IN_FRAME = "In the photo", "64x64"


def kept_result(key: object) -> Result | None:
    """The result of this key, if it is still there."""
    result = KEPT.get(key)
    return result if isinstance(result, Result) else None


def finished_result(key: object) -> Result:
    """The finished result of this key. Raises PageError."""
    result = kept_result(key)
    if result is None or not result.finished:
        raise PageError("This result is no longer here: fill the hole again.")
    return result


def chosen_display(enlargement: object, where: object, refine: object) -> Display:
    """What the page's components say of how results are to be seen."""
    return Display(enlargement == CRISP, where == IN_PHOTO, refine is not False)


def show_result(key: object, enlargement: object, where: object, refine: object) -> Update:
    """The current result in the look that is chosen."""
    return {"pictures": render.result_view(kept_result(key), chosen_display(enlargement, where, refine), str(key))}


def choose_sample(key: object, enlargement: object, where: object, refine: object, event: gr.EventData) -> Update:
    """Shows a sample large, and remembers which."""
    result = kept_result(key)
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if result is None or not isinstance(index, int) or not 0 <= index < len(result.samples):
        return {}
    result = replace(result, chosen=index)
    KEPT.put(result, result.cost, key)  # type: ignore[arg-type]
    return show_result(key, enlargement, where, refine) | {"share": sharing.share_view(result)}


def in_large(refine: object, event: gr.EventData) -> Generator[Update]:
    """The fills of these results of a visit in large: {"results": [KEY, ...]}, the latest first."""
    keys = event._data.get("results") if isinstance(event._data, dict) else None
    found = map(kept_result, keys[:MOST_BESIDE] if isinstance(keys, list) else [])
    finished = [result for result in found if result and result.finished]
    fills = [(result, result.samples[index]) for result in finished for index in result.order][:MOST_BESIDE]
    yield {"beside": render.plain_line("Drawing the pictures…")}
    yield {"beside": render.side_by_side(fills, refine is not False)}


def earlier_key(event: gr.EventData) -> str:
    """The key of the result that was chosen among those of this visit. Raises PageError."""
    key = event._data.get("result") if isinstance(event._data, dict) else None
    finished_result(key)
    return str(key)


def save(key: object, refine: object, kind: object) -> Update:
    """The chosen sample at the photo's own size, as a file to download. kind: of `downloads.KINDS`."""
    return _download(key, lambda result: downloads.full_size(result, refine is not False, str(kind)))


def save_strip(key: object, enlargement: object) -> Update:
    """The result as one labelled picture, as a file to download."""
    return _download(key, lambda result: _strip(result, enlargement == CRISP))


def save_animation(key: object, enlargement: object) -> Update:
    """How the result came about, as a file to download."""
    return _download(key, lambda result: _animation(result, enlargement == CRISP))


def save_all(key: object, enlargement: object, refine: object, kind: object) -> Update:
    """All samples of the result, with figures and settings, as one file to download."""
    try:
        result = finished_result(key)
        folder = Path(tempfile.mkdtemp(dir=get_upload_folder()))
        file = folder / downloads.name(result, result.seeds[0], ".zip")
        downloads.bundle(result, refine is not False, str(kind), enlargement == CRISP, file)
    except ValueError as error:
        return {"status": render.trouble(str(error)), "file": None}
    return {"file": str(file)}


def _strip(result: Result, crisp: bool) -> tuple[bytes, str]:
    return png(sheets.strip(result.strip_tiles(crisp), crisp), quickly=True), downloads.name(
        result, result.seeds[0], "-strip.png"
    )


def _animation(result: Result, crisp: bool) -> tuple[bytes, str]:
    return sheets.animation(result.animation_tiles(crisp), crisp), downloads.name(result, result.seeds[0], ".gif")


def _download(key: object, made: Callable[[Result], tuple[bytes, str]]) -> Update:
    """A file made of a finished result: its content and name."""
    try:
        content, name = made(finished_result(key))
    except ValueError as error:
        return {"status": render.trouble(str(error)), "file": None}
    return {"file": save_bytes_to_cache(content, name, get_upload_folder())}

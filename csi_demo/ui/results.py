"""What a visitor does with a result: looks at it, chooses a sample, downloads it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from ..errors import PageError
from . import comparison, render
from .photo import KEPT
from .render import Result

CRISP, SMOOTH = "Crisp", "Smooth"
IN_PHOTO, IN_FRAME = "In the photo", "64x64"


def kept_result(key: object) -> Result | None:
    """The result of this key, if it is still there."""
    result = KEPT.get(key)
    return result if isinstance(result, Result) else None


def finished_result(key: object) -> Result:
    """The finished result of this key. Raises PageError."""
    result = kept_result(key)
    if result is None or not result.before:
        raise PageError("This result is no longer here: fill the hole again.")
    return result


def show_result(key: object, look: str, where: str) -> str:
    """The current result in the look that is chosen."""
    return render.result_view(kept_result(key), where == IN_PHOTO, look == CRISP)


def choose_sample(key: object, look: str, where: str, event: gr.EventData) -> str:
    """Shows a sample large, and remembers which."""
    result = kept_result(key)
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if result is None or not isinstance(index, int) or not 0 <= index < len(result.samples):
        return gr.skip()
    KEPT.put(replace(result, chosen=index), result.cost, key)  # type: ignore[arg-type]
    return show_result(key, look, where)


def save(key: object) -> list[Any]:
    """The chosen sample at the photo's own size, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        return _download(render.png(result.full()), f"csi-seed-{result.seeds[result.chosen]}.png")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def save_strip(key: object, look: str) -> list[Any]:
    """The result as one labelled picture, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        picture = comparison.strip(result.strip_tiles(look == CRISP), look == CRISP)
        return _download(render.png(picture), f"{_name(result)}.png")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def save_animation(key: object, look: str) -> list[Any]:
    """How the result came about, as a file to download: [status, file]."""
    try:
        result = finished_result(key)
        moving = comparison.animation(result.animation_tiles(look == CRISP), look == CRISP)
        return _download(moving, f"{_name(result)}.gif")
    except ValueError as error:
        return [render.trouble(str(error)), None]


def _name(result: Result) -> str:
    return f"csi-{'comparison' if result.compared else 'fills'}-seed-{result.seeds[0]}"


def _download(data: bytes, name: str) -> list[Any]:
    return [gr.skip(), save_bytes_to_cache(data, name, get_upload_folder())]

"""The mask painter: a canvas over the visitor's photo, and the JSON text that it and the server exchange.

From the browser (`props.value` of the component), at most MAX_LENGTH characters, one of

    {"upload": PATH, "name": TEXT, "turn": NUMBER}
                                      a file was chosen and sent, and what it was called; event "upload", whose own data
                                      it may be, too
    {"photo": KEY, "size": [WIDTH, HEIGHT], "runs": [...], "edit": NUMBER,
     "hints": [{"points": [[x, y] ...], "size": WIDTH, "colour": "#RRGGBB"} ...], "held": [CONTROL ...]}
                                      the hole as it is painted now, colours that are painted into it, and the controls
                                      that are held where they stand; event "input"

and to the browser, one of

    {"trouble": TEXT, "turn": NUMBER}   what was wrong; photo and hole stay as they are
    {"photo": KEY, "size": [WIDTH, HEIGHT], "view": DATA_URL, "frames": [[[x, y] x 4] ...], "chosen": INDEX,
     "presets": [{"label": TEXT, "runs": [...]} ...], "runs": [...], "note": TEXT, "undoable": BOOLEAN, "edit": NUMBER,
     "turn": NUMBER}

Events beside these carry their own data: "submit" what a page asks for that has this one as a component, {"link":
QUERY}; "edit" where the square was put by hand, {"x": X, "y": Y, "side": PIXELS,
"turn": DEGREES} in the view, "select" which numbered face was clicked, {"face": INDEX}, and
"apply" where undo wants the sliders, {"sliders": {CONTROL: VALUE}}, and "delete" a photo that was sent and is no longer
wanted, {"upload": PATH}.

A photo's own bytes go to the server once, through the component's upload; what is painted on is the server's view of
it, the whole photo at most VIEW_SIDE pixels long, so that browser and server agree on its orientation and colours.
Points are in pixels of the view. runs: lengths of the runs of kept and hole pixels, in turn, row after row, the first
kept (perhaps 0). Without "view" the photo on the canvas stays, without "runs" the hole on it. KEY is a secret of the
visitor who sent the photo. edit tells one state of the painting from another; a result carries that of its hole, so
that the browser knows whether it belongs to what is painted. undoable: an undo brings the photo before back. turn:
the upload's that it answers; the browser goes by the last one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
import numpy as np

from ..errors import PageError
from ..hints import MOST as MOST_HINTS
from . import static
from .server.guard import MAX_FILE
from .server.keep import KEPT_MINUTES

VIEW_SIDE = 1600
SCRIPTS = (
    "stage.js",
    "drawing.js",
    "shown.js",
    "steps.js",
    "tools.js",
    "hints.js",
    "painter.js",
    "moves.js",
    "state.js",
    "hands.js",
)
MAX_LENGTH = 2_000_000
GONE = (
    f"This photo is no longer here: it is dropped {KEPT_MINUTES} minutes after its last use, and when the server "
    "starts anew. Choose it again."
)
MOVED = "The sliders have moved: fill again."
BROKEN = "The page sent something that cannot be read. Reload the page and choose the photo again."


def painter() -> gr.HTML:
    """The component."""
    figures = {"MAX_BYTES": MAX_FILE, "GONE": GONE, "MOVED": MOVED, "MOST_HINTS": MOST_HINTS}
    return gr.HTML(
        None,
        html_template=static.text("painter.html", CORNER=static.text("corner.html")),
        js_on_load="".join(static.text(name, **figures) for name in SCRIPTS),
        apply_default_css=False,
        elem_id="painter",
    )


def read(value: object) -> dict[str, Any]:
    """The object that the browser sent. Raises PageError when it is none, or too long."""
    if not value:
        raise PageError("Choose a photo first.")
    if not isinstance(value, str):
        raise PageError(BROKEN)
    if len(value) > MAX_LENGTH:
        raise PageError("This hole has too many small parts. Clear it and paint with a larger brush.")
    try:
        content = json.loads(value)
    except (ValueError, RecursionError):
        raise PageError(BROKEN) from None
    if not isinstance(content, dict):
        raise PageError(BROKEN)
    return content


def mark(value: object) -> str:
    """Photo and edit of what the browser sent, by which it knows what a line of text is of; "" for anything else."""
    try:
        content = read(value)
    except PageError:
        return ""
    said = f"{str(content.get('photo'))[:40]} {str(content.get('edit', 0))[:20]}"
    return said.encode(errors="replace").decode()  # half of a surrogate pair cannot be sent back


def to_mask(content: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """The painted mask of a view of this (width, height): boolean (height, width), True = keep. Raises PageError."""
    runs, area = content.get("runs"), size[0] * size[1]
    if content.get("size") != list(size):
        raise PageError("The hole is painted on a photo of another size. Reload the page and choose the photo again.")
    if not isinstance(runs, list) or not all(type(run) is int and 0 <= run <= area for run in runs):
        raise PageError(BROKEN)
    if sum(runs) != area:
        raise PageError(BROKEN)
    return np.repeat(np.arange(len(runs)) % 2 == 0, runs).reshape(size[1], size[0])


def to_runs(mask: np.ndarray) -> list[int]:
    """The inverse of `to_mask`."""
    flat = mask.ravel()
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(np.concatenate(([0], edges, [flat.size]))).tolist()
    return runs if flat[0] else [0, *runs]


def scene(
    key: str,
    size: tuple[int, int],
    frames: Sequence[Sequence[tuple[float, float]]],
    chosen: int,
    presets: Mapping[str, np.ndarray],
    *,
    view: str | None = None,
    mask: np.ndarray | None = None,
    note: str = "",
    undoable: bool = False,
    edit: int | None = None,
    turn: object = None,
) -> str:
    """What the painter is to show. presets and mask: label -> mask, mask, both of the view's size; view: a data URL."""
    content: dict[str, Any] = {
        "photo": key,
        "size": size,
        "frames": frames,
        "chosen": chosen,
        "presets": [{"label": label, "runs": to_runs(preset)} for label, preset in presets.items()],
        "note": note,
        "undoable": undoable,
    }
    if edit is not None:
        content["edit"] = edit
    if turn is not None:
        content["turn"] = turn
    if view is not None:
        content["view"] = view
    if mask is not None:
        content["runs"] = to_runs(mask)
    return json.dumps(content, separators=(",", ":"))


def trouble(message: str, turn: object = None) -> str:
    """Tells the painter what was wrong."""
    return json.dumps({"trouble": message, "turn": turn})

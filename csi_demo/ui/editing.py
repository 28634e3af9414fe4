"""Sessions of the photo editor: what a visitor does with the brush, told by the page in small messages.

From the browser, which calls `move`, one of

    {"act": "paint", "points": [[x, y] ...], "size": SIDE, "colour": "#RRGGBB", "stroke": NUMBER}
    {"act": "light", "points": [[x, y] ...], "size": SIDE, "steps": STEPS, "stroke": NUMBER}
    {"act": "set", "name": LATENT, "value": NUMBER, "stroke": NUMBER}
    {"act": "sample", "seed": NUMBER}
    {"act": "reset" | "commit" | "undo" | "redo" | "look"}

each with "session": KEY, "reply": NUMBER, which the answer repeats, "live": whether more of the same is to come, and
"hood": whether to show what is behind the edit. To the browser, as the answer or, for a photo that is opened, as
`props.value` of the component,

    {"session": KEY, "reply": NUMBER, "trouble": TEXT, "took": MILLISECONDS, "size": [WIDTH, HEIGHT],
     "frame": [[x, y] x 4], "view": DATA_URL, "opened": true, "original": DATA_URL,
     "box": [LEFT, TOP, WIDTH, HEIGHT], "square": DATA_URL,
     "undoable": BOOLEAN, "redoable": BOOLEAN, "edited": BOOLEAN, "values": {NAME: NUMBER}, "controls": [{...} ...],
     "hood": {NAME: DATA_URL}, "note": TEXT}

of which an answer has only what is new. Points and sizes are in pixels of the server's view of the photo, as in
`painter`. "view" is what the present edit starts from, "square" the part of it in the box, with the edit; "opened" says
that the photo is another one, or shown for the first time, "original" what it was when it is not "view".
The event "upload" comes with {"upload": PATH}, as in `painter`; "submit" asks for the photo as a file, "select" carries
it to where holes are filled, "click" opens the photo of the page, as it does after {"later": NUMBER}.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ..errors import PageError
from ..photo.placement import Placement
from ..photo.reading import open_photo
from ..photo.sheets import memory_of
from . import data_url, painter
from .examples import FOLDER
from .photo import KEPT, KEPT_MINUTES, Photo

if TYPE_CHECKING:
    from ..editing import Editor, Stroke

LIVE_SIDE, STILL_SIDE = 448, 1200  # of the square's picture during a stroke and after it, at most
MAX_POINTS = 50  # in one message
AT_WORK = 64 * 2**20  # bytes of a session in the middle of a stroke, about
AT_REST = 4 * 2**20
ACTS = ("paint", "light", "set", "sample", "reset", "commit", "undo", "redo", "look")
GONE = f"This edit is no longer here: it is dropped {KEPT_MINUTES} minutes after its last use. Open the photo again."

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ready:
    """An edit that a click shows: a photo of examples/ and strokes in its pixels, as `editing.strokes.from_json`."""

    photo: str
    title: str
    strokes: tuple[Mapping[str, Any], ...]


@cache
def ready_edits() -> tuple[Ready, ...]:
    """In the order of the file."""
    entries = json.loads((FOLDER / "edits.json").read_text(encoding="utf-8"))
    return tuple(Ready(entry["photo"], entry["title"], tuple(entry["strokes"])) for entry in entries)


def thumbnail(ready: Ready) -> Image.Image:
    """A small square of the photo's middle."""
    picture = open_photo(FOLDER / ready.photo)
    place = Placement.centred(picture.size)
    return place.frame(picture, 96)


@dataclass
class Session:
    """An editor of a photo, and what the browser has of it."""

    photo: Photo
    editor: Editor
    note: str = ""  # what is said of it when it is shown from its beginning
    key: str = ""
    before: tuple[int, Image.Image] | None = None  # the editor's base and its picture in the view
    told: int | None = None  # the base whose view the browser has
    lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, photo: Photo) -> bool:
        """Whether this is a session on that photo and square."""
        return (self.photo.key, self.photo.place) == (photo.key, photo.place)

    def keep(self, *, working: bool) -> None:
        """Keeps the session; one in the middle of a stroke weighs more."""
        cost = len(self.photo.data) + 2 * memory_of(self.photo.view) + (AT_WORK if working else AT_REST)
        self.key = KEPT.put(self, cost, self.key or None)


def opened(photo: Photo) -> Session:
    """A new session on a photo. Raises PageError."""
    try:
        from ..editing import Editor

        session = Session(photo, Editor(photo.full, photo.place))
    except (RuntimeError, OSError) as error:
        _log.error("editor: %s", error)
        raise PageError("The model could not be loaded. Please come back later.") from None
    session.keep(working=False)
    return session


def kept_session(key: object) -> Session:
    """The session of this key. Raises PageError."""
    session = KEPT.get(key)
    if not isinstance(session, Session):
        raise PageError(GONE)
    return session


def first_view(session: Session) -> str:
    """What the browser needs to show a session from its beginning."""
    with session.lock:
        session.told = None
        said = _state(session, live=False) | {"opened": True, "controls": _controls(), "note": session.note}
        if session.editor.base:
            said["original"] = data_url.view_url(session.photo.view)
        said["hood"] = _hood(session)
        session.editor.rest()
        return _said(said)


def draw_ready(session: Session, ready: Ready) -> None:
    """Draws an example's strokes."""
    from ..editing.strokes import draw, from_json

    with session.lock:
        draw(session.editor, from_json(list(ready.strokes)))
        session.editor.rest()


def act(value: object) -> str:
    """Does what a message asks for, and tells what has come of it or what was wrong; never raises."""
    began = time.monotonic()
    reply: object = None
    try:
        content = painter.read(value)
        reply = content.get("reply")
        session = kept_session(content.get("session"))
    except PageError as error:
        return trouble(str(error), reply)
    live = content.get("live") is True
    with session.lock:
        wrong = {}
        try:
            _do(session, content)
        except ValueError as error:
            wrong = {"trouble": f"{str(error)[:1].upper()}{str(error)[1:].rstrip('.')}."}
        except OSError as error:
            _log.error("editor: %s", error)
            wrong = {"trouble": "The model could not be loaded. Please come back later."}
        state = _state(session, live=live)
        if content.get("hood") is True:
            state["hood"] = _hood(session)
        if not live:
            session.editor.rest()
        session.keep(working=live)
    return _said(state | wrong | {"reply": reply, "took": round(1000 * (time.monotonic() - began))})


def not_yet() -> str:
    """Asks the browser to come again: the page's photo is still on its way."""
    return _said({"later": time.monotonic_ns()})  # always another value, or the browser would not notice it


def trouble(message: str, reply: object = None) -> str:
    """Tells the browser what was wrong; what it shows stays."""
    return _said({"trouble": message, "reply": reply})


def changed(session: Session) -> bool:
    """Whether the picture is another than the photo that was opened."""
    return session.editor.edited or session.editor.base > 0


def finished(session: Session) -> Image.Image:
    """The edited photo at its own size. Raises PhotoError."""
    with session.lock:
        return session.editor.photo


def _do(session: Session, content: Mapping[str, Any]) -> None:
    """Raises EditError, ControlError or PageError; the editor is then as after the last point that could be drawn."""
    editor, what = session.editor, content.get("act")
    number = content.get("stroke")
    stroke = number if isinstance(number, int) and not isinstance(number, bool) else None
    if what in ("paint", "light"):
        _stroke(session, content).draw(editor, stroke)
    elif what == "set":
        if not isinstance(content.get("name"), str):
            raise PageError(painter.BROKEN)
        editor.set(content["name"], content.get("value"), stroke=stroke)  # type: ignore[arg-type]
    elif what == "sample":
        editor.sample(content.get("seed"))  # type: ignore[arg-type]
    elif what in ("undo", "redo", "reset", "commit"):
        getattr(editor, what)()
    elif what not in ACTS:
        raise PageError(painter.BROKEN)


def _stroke(session: Session, content: Mapping[str, Any]) -> Stroke:
    """The stroke of a message, in photo pixels. Raises EditError or PageError."""
    from ..editing.strokes import from_json

    points, scale = content.get("points"), session.photo.scale
    if isinstance(points, list):
        if len(points) > MAX_POINTS:
            raise PageError("Too many moves of the brush came at once. Paint more slowly.")
        points = [[_over(number, scale) for number in pair] if isinstance(pair, list) else pair for pair in points]
    entry = {"points": points, "size": _over(content.get("size"), scale)}
    if content.get("act") == "paint":
        entry["colour"] = content.get("colour")
    else:
        entry["lighten"] = content.get("steps")
    return from_json([entry])[0]


def _over(value: Any, scale: float) -> Any:
    """A number over a scale; the editor tells what is wrong with anything else."""
    return value / scale if isinstance(value, int | float) and not isinstance(value, bool) else value


def _state(session: Session, *, live: bool) -> dict[str, Any]:
    """What has changed, as the browser gets it."""
    editor, photo = session.editor, session.photo
    found: dict[str, Any] = {"session": session.key, "size": photo.view.size, "frame": photo.view_place.corners}
    if session.before is None or session.before[0] != editor.base:
        session.before = editor.base, editor.committed(photo.view, photo.view_place)
    if session.told != editor.base:
        session.told = editor.base
        found["view"] = data_url.view_url(session.before[1])
    box, square = _square(session, LIVE_SIDE if live else STILL_SIDE)
    return found | {
        "box": box,
        "square": data_url.view_url(square),
        "undoable": editor.undoable,
        "redoable": editor.redoable,
        "edited": editor.edited,
        "values": editor.steered,
    }


def _square(session: Session, side: int) -> tuple[list[int], Image.Image]:
    """The part of the view that the frame touches, (left, top, width, height), and its picture after the edit. side:
    pixels of the picture at most."""
    assert session.before is not None
    before, place = session.before[1], session.photo.view_place
    corners = np.array(place.corners)
    left, top = np.floor(corners.min(0)).astype(int).clip(0).tolist()
    right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int), before.size).tolist()
    crop = before.crop((left, top, right, bottom))
    scale = min(1.0, side / max(crop.size))
    if scale < 1.0:
        crop = crop.resize((max(1, round(crop.width * scale)), max(1, round(crop.height * scale))))
    placed = Placement((place.x - left) * scale, (place.y - top) * scale, place.size * scale, place.angle)
    return [left, top, right - left, bottom - top], session.editor.edit(crop, placed)


def _controls() -> list[dict[str, Any]]:
    from ..editing.steering import named_latents

    names = ("name", "label", "help", "minimum", "maximum", "step")
    return [{name: getattr(latent.control, name) for name in names} for latent in named_latents().values()]


def _hood(session: Session) -> dict[str, str]:
    return {name: data_url.png_url(picture) for name, picture in session.editor.views.items()}


def _said(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"))

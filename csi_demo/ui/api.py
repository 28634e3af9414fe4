"""What programs call: typed endpoints over HTTP, gradio_client and MCP. Nothing of a call is kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio import FileData
from PIL import Image

from .. import masks
from ..complete import Finish, Request, Subject, place_frame
from ..errors import PageError
from ..hints import Hint, as_hints
from ..photo.placement import Placement
from ..photo.reading import open_photo, open_picture
from . import data_url, engine, photo
from .engine import MAX_SAMPLES, MAX_SEED
from .subject import whole
from .wiring import said

if TYPE_CHECKING:
    from ..methods import Control, Method

MAX_TEXT = photo.MAX_BYTES * 4 // 3 + 100  # of a photo as text
MAX_SETTINGS = 100
MAX_MOVES = 200  # of the brush in one call, which take some ten seconds


def list_methods() -> list[dict[str, str]]:
    """Every way of filling a hole: its name, which the other calls take, its label and what it does."""
    loaded = (engine.load(name) for _, name in engine.method_choices())
    return [{"name": one.name, "label": one.label, "description": one.description} for one in loaded]


def list_controls(method: str = "csi") -> list[dict[str, Any]]:
    """What can be set for a method: name, label, help, range, step, default (null: inferred from the picture), kind.

    Parameters:
        method: a name of list_methods.
    """
    with _Spoken():
        loaded = engine.load(_text(method, "The method", 40))
        return [_described(one, "control") for one in loaded.controls] + [
            _described(one, "option") for one in loaded.options
        ]


def complete(
    picture: FileData | str,
    mask: FileData | str = "mouth",
    method: str = "csi",
    seed: int = 0,
    samples: int = 1,
    settings: dict[str, float] | None = None,
    face: int = 1,
    refine: bool = True,
    hints: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Fills a hole in the photo of a face. Gives the pictures as PNG data URLs of the photo's size, and how they came
    about: where the 64x64 frame lay, whether a face was found, and notes on the photo.

    Parameters:
        picture: a photo, as an uploaded file, or as base64 or a data URL of a JPEG, PNG, WebP, HEIC, AVIF, TIFF,
            GIF or BMP file.
        mask: eyes, nose, mouth, left, right, top, bottom, center, full, random:SEED, or a box x0,y0,x1,y1 in pixels of
            the 64x64 frame around the face; or a picture of the photo's size, sent likewise, black where the hole is.
        method: a name of list_methods.
        seed: of the first sample; sample k has seed + k, and the same seed draws the same picture.
        samples: how many, 1 to 8.
        settings: values of list_controls by name; what is left out stays where the picture puts it.
        face: which face where there are several, the largest being 1.
        refine: whether the fill is redrawn at the photo's own resolution, where that is higher than 64x64.
        hints: dabs of paint in the hole that csi obeys, each {"x", "y" or "points": [[x, y], ...], "size", "colour":
            "#RRGGBB"}, in photo pixels.
    """
    with _Spoken():
        notes: list[str] = []
        shown, hole = _read(picture, mask, notes)
        loaded = engine.load(_text(method, "The method", 40))
        first = whole(seed, "The seed", 0, MAX_SEED)
        seeds = tuple(range(first, first + whole(samples, "The number of samples", 1, MAX_SAMPLES)))
        which = whole(face, "The face", 1, photo.MAX_FACES)
        finish, subject = Finish(refine=_switch(refine)), _subject(shown, hole, which, notes)
        return _filled(subject, loaded, seeds, _settings(settings), finish, notes, as_hints(hints))


def compare(
    picture: FileData | str,
    mask: FileData | str = "mouth",
    seed: int = 0,
    face: int = 1,
    refine: bool = True,
    methods: list[str] | None = None,
) -> dict[str, Any]:
    """Fills the same hole with the same seed by every method: name of the method -> what `complete` returns for it.

    Parameters:
        picture: a photo, as an uploaded file, or as base64 or a data URL of a JPEG, PNG, WebP, HEIC, AVIF, TIFF,
            GIF or BMP file.
        mask: as of `complete`.
        seed: of the one sample.
        face: which face where there are several, the largest being 1.
        refine: as of `complete`.
        methods: names of list_methods, to run these alone.
    """
    with _Spoken():
        notes: list[str] = []
        shown, hole = _read(picture, mask, notes)
        number = whole(seed, "The seed", 0, MAX_SEED)
        which = whole(face, "The face", 1, photo.MAX_FACES)
        loaded = [engine.load(name) for _, name in engine.compared(methods)]
        finish, subject = Finish(refine=_switch(refine)), _subject(shown, hole, which, notes)
        return {one.name: _filled(subject, one, (number,), {}, finish, notes) for one in loaded}


def edit(
    picture: FileData | str,
    strokes: list[dict[str, Any]] | None = None,
    latents: dict[str, float] | None = None,
    sample: int | None = None,
    face: int = 1,
    strength: float = 2.0,
    plain: bool = False,
) -> dict[str, Any]:
    """Paints on the face of a photo with a model: the picture as a PNG data URL of the photo's size.

    Parameters:
        picture: a photo, as an uploaded file, or as base64 or a data URL of a JPEG, PNG, WebP, HEIC, AVIF, TIFF,
            GIF or BMP file.
        strokes: in order, each {"x", "y" or "points": [[x, y], ...], "size", "colour": "#RRGGBB", "steps"}, in photo
            pixels; "lighten": STEPS in the place of colour and steps lightens, or darkens where it is below 0. Up to
            200 points times steps in all.
        latents: values of z0 and so on, or of named latents, set before the strokes.
        sample: the seed of a face drawn in the photo's place, before all else; null for none.
        face: which face where there are several, the largest being 1.
        strength: of how much of an edit shows, more than 0, at most 10; as published 1.
        plain: whether the brush is the published one, whose paint changes the whole face.
    """
    with _Spoken():
        from ..editing import Brush, edit_photo
        from ..editing.strokes import from_json

        began = time.monotonic()
        drawn = from_json([] if strokes is None else strokes)
        if sum(stroke.moves for stroke in drawn) > MAX_MOVES:
            raise PageError(f"These strokes are too much for one call: at most {MAX_MOVES} points times steps.")
        which = whole(face, "The face", 1, photo.MAX_FACES)
        notes: list[str] = []
        shown = _photo(picture, notes)
        place = place_frame(shown, which if which > 1 else None, notes)
        edited = edit_photo(
            shown,
            drawn,
            latents=_settings(latents),
            sample=None if sample is None else whole(sample, "The seed", 0, MAX_SEED),
            placement=place,
            brush=Brush(local=not _switch(plain, "plain")),
            strength=strength,
        )
        return {
            "picture": data_url.exact_url(edited),
            "placement": _place(place),
            "notes": notes,
            "seconds": round(time.monotonic() - began, 3),
        }


def _place(placement: Placement) -> dict[str, Any]:
    return asdict(placement) | {"corners": placement.corners}


class _Spoken:
    """Turns whatever goes wrong into the endpoint's error message: what a caller can mend as it is."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, gr.Error):
            raise gr.Error(said(error, "an endpoint"), print_exception=False) from None


def _described(control: Control, kind: str) -> dict[str, Any]:
    names = ("name", "label", "help", "minimum", "maximum", "step", "default")
    return {name: getattr(control, name) for name in names} | {"kind": kind}


def _text(value: object, what: str, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest:
        raise PageError(f"{what} is a text of at most {longest} characters.")
    return value


def _switch(value: object, what: str = "refine") -> bool:
    if not isinstance(value, bool):
        raise PageError(f"{what} is true or false.")
    return value


def _settings(values: object) -> dict[str, float]:
    if values is None:
        return {}
    if not isinstance(values, Mapping) or len(values) > MAX_SETTINGS:
        raise PageError(f"The settings are at most {MAX_SETTINGS} numbers by name.")
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise PageError(f"The setting {_text(name, 'A name', 40)} is not a number.")
    return dict(values)


def _read(picture: object, mask: object, notes: list[str]) -> tuple[Image.Image, np.ndarray | str]:
    """Photo and mask as `fit_mask` takes it; notes: takes what is to be said of the photo. Raises UserError."""
    shown = _photo(picture, notes)
    if isinstance(mask, str) and len(mask) <= 40:
        masks.family(mask)
        return shown, mask
    return shown, masks.from_image(open_picture(_content(mask, "The mask"), "the mask", notes=[]))


def _photo(picture: object, notes: list[str]) -> Image.Image:
    """Raises UserError."""
    return open_photo(_content(picture, "The picture"), "the picture", notes)


def _content(sent: object, what: str) -> bytes:
    """A file's content, of an upload or of a text. Raises PageError."""
    if isinstance(sent, Mapping):
        return photo.receive(sent.get("path"))
    if isinstance(sent, FileData):
        return photo.receive(sent.path)
    return data_url.decode(_text(sent, what, MAX_TEXT), what)


def _subject(shown: Image.Image, hole: np.ndarray | str, face: int, notes: list[str]) -> Subject:
    return Subject.of(shown, hole, face=face if face > 1 else None, notes=notes)


def _filled(
    subject: Subject,
    loaded: Method,
    seeds: tuple[int, ...],
    settings: Mapping[str, float],
    finish: Finish,
    notes: list[str],
    hints: tuple[Hint, ...] = (),
) -> dict[str, Any]:
    began, place = time.monotonic(), subject.placement
    request = Request(subject, loaded, seeds, *loaded.split(settings), finish, hints)
    *_, last = engine.complete(request)
    return {
        "pictures": [data_url.png_url(request.finished(fill)) for fill in last.pictures],
        "seeds": list(seeds),
        "placement": _place(place),
        "face_found": subject.face_found,
        "notes": notes,
        "figures": last.info.get("figures", [{} for _ in seeds]),
        "seconds": round(time.monotonic() - began, 3),
    }

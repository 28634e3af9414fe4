"""Examples that a click or a link opens: one of our photos, a hole and settings."""

from __future__ import annotations

import base64
import binascii
import json
import math
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field, replace
from functools import cache
from urllib.parse import parse_qsl, urlencode

import numpy as np
from PIL import Image

from .. import masks
from ..errors import PageError, PhotoError
from ..photo.placement import Placement
from ..photo.reading import open_photo
from ..surroundings import shipped
from .engine import MAX_SAMPLES, MAX_SEED
from .photo import Photo, by_hand, from_bytes, keep, plain_name
from .subject import whole

FOLDER = shipped("examples")
PAINTED = "painted:"  # begins a hole that is no family's: the view's pixels, packed
LONGEST_LINK = 6000  # characters
WRONG_LINK = "This link is damaged, or from another version of this page. The first example is shown instead."


@dataclass(frozen=True)
class Example:
    """A fill that a click or a link asks for. photo: a file in examples/; hole: as `masks.family` takes it, or as
    `hole_name` packs it; settings: controls and options, name -> value, as moved; method: None for the one that is
    chosen; place: X,Y,SIZE,ANGLE of the frame in the photo, where it is not around the face."""

    photo: str
    title: str
    hole: str
    seed: int = 0
    samples: int = 2
    method: str | None = None
    settings: Mapping[str, float] = field(default_factory=dict)
    place: str = ""

    def thumbnail(self) -> Image.Image:
        """A small square of the photo's middle."""
        picture = open_photo(FOLDER / self.photo)
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        return picture.resize((96, 96), Image.Resampling.BICUBIC, (left, top, left + side, top + side))

    def open(self) -> tuple[Photo, np.ndarray]:
        """The photo, kept for one visitor, and the mask of its view. Raises PageError."""
        shown = replace(_photo(self.photo), key=secrets.token_urlsafe(16))
        if self.place:
            try:
                place = Placement.from_numbers(self.place)
            except PhotoError:
                raise PageError(WRONG_LINK) from None
            shown = shown.placed(by_hand(shown, place.x, place.y, place.size, place.angle))
        mask = _mask(shown, self.hole)
        return keep(replace(shown, suggestion=(mask, self.settings))), mask

    def link(self) -> str:
        """The query of a link that opens it, or "" where that would be too long. Inverse: `from_link`."""
        said = {
            "photo": self.photo,
            "hole": self.hole,
            "method": self.method or "",
            "seed": self.seed,
            "samples": self.samples,
            "set": ",".join(f"{name}:{value!r}" for name, value in self.settings.items()),
            "place": self.place,
        }
        query = urlencode({name: value for name, value in said.items() if value != ""})
        return query if len(query) <= LONGEST_LINK else ""


def from_link(query: Mapping[str, str]) -> Example | None:
    """The example that a link means; None when the query names none. Raises PageError for one that cannot be read."""
    if "photo" not in query:
        return None
    names = {example.photo for example in all_examples()}
    alone = query.get("embed") == "slider"  # where none can be chosen
    try:
        if query["photo"] not in names or sum(map(len, query.values())) > LONGEST_LINK:
            raise ValueError
        pairs = [pair.split(":") for pair in query.get("set", "").split(",") if pair]
        settings = {name: float(value) for name, value in pairs}
        if not all(map(math.isfinite, settings.values())):
            raise ValueError
        return Example(
            photo=query["photo"],
            title="",
            hole=query.get("hole", "mouth"),
            seed=whole(int(query.get("seed", "0")), "The seed", 0, MAX_SEED),
            samples=1 if alone else whole(int(query.get("samples", "2")), "The number of samples", 1, MAX_SAMPLES),
            method=query.get("method"),
            settings=settings,
            place=query.get("place", ""),
        )
    except ValueError:
        raise PageError(WRONG_LINK) from None


def edit_from_link(query: Mapping[str, str]) -> int | None:
    """Which edit a link asks for, -1 for the tab with nothing edited yet, None for the tab where holes are filled.
    Raises PageError."""
    if query.get("tab") != "edit":
        return None
    try:
        return whole(int(query.get("edit", "-1")), "The number of the edit", -1, MAX_SEED)
    except ValueError:
        raise PageError(WRONG_LINK) from None


def edit_link(photo: Photo, edit: int = -1) -> str:
    """The query of a link that opens a photo in the editor, or one of its edits; "" for a visitor's own photo."""
    said = {"photo": photo.example, "place": place_name(photo), "tab": "edit", "edit": str(edit) if edit >= 0 else ""}
    return urlencode({name: value for name, value in said.items() if value}) if photo.example else ""


def read_query(text: object) -> dict[str, str]:
    """The query of a link that another page holds for its `<gradio-app>`. Raises PageError."""
    if not isinstance(text, str) or len(text) > 2 * LONGEST_LINK:
        raise PageError(WRONG_LINK)
    return dict(parse_qsl(text.partition("?")[2] or text))


def place_name(photo: Photo) -> str:
    """Where the square lies, as an example's place; "" where it is around the first face."""
    return "" if photo.faces and photo.place == photo.faces[0] else ",".join(map(repr, astuple(photo.place)))


def hole_name(photo: Photo, mask: np.ndarray) -> str:
    """A mask of the photo's view as an example's hole."""
    for name in masks.BOXES:
        if np.array_equal(mask, photo.preset(name)):
            return name
    return PAINTED + base64.urlsafe_b64encode(zlib.compress(np.packbits(mask).tobytes(), 9)).decode()


def _mask(photo: Photo, hole: str) -> np.ndarray:
    """The inverse of `hole_name`. Raises PageError."""
    try:
        if not hole.startswith(PAINTED):
            return photo.preset(hole)
        width, height = photo.view.size
        unpack = zlib.decompressobj()
        packed = unpack.decompress(base64.urlsafe_b64decode(hole[len(PAINTED) :]), width * height // 8 + 1)
        return np.unpackbits(np.frombuffer(packed, np.uint8))[: width * height].reshape(height, width).astype(bool)
    except (ValueError, binascii.Error, zlib.error):
        raise PageError(WRONG_LINK) from None


@cache
def all_examples() -> tuple[Example, ...]:
    """In the order of the file; the first is open when the page loads."""
    return tuple(Example(**entry) for entry in json.loads((FOLDER / "examples.json").read_text(encoding="utf-8")))


@cache
def _photo(name: str) -> Photo:
    return replace(from_bytes((FOLDER / name).read_bytes(), name=plain_name(name)), example=name)

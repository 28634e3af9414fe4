"""A visitor's photo on the server: its bytes, a view to paint on, and the square of it that is filled."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from ..complete import Subject
from ..errors import PageError, PhotoError
from ..photo.outline import FOLLOWING, face_hole, face_map
from ..photo.placement import SMALLEST, Placement
from ..photo.reading import open_photo
from ..photo.sheets import memory_of
from ..pixels import FRAME
from .painter import GONE, VIEW_SIDE
from .server.guard import MAX_FILE
from .server.keep import KEPT_MINUTES, Keep

MAX_BYTES = MAX_FILE
SMALLEST_SIDE = 16
MAX_PATH = 1000  # characters
MAX_FACES = 8
NO_FACE = (
    "No face was found. Place the square by hand: choose the square tool (S), and let the eyes "
    "lie just below the middle of the square, about a third of its width apart."
)

_log = logging.getLogger(__name__)

KEPT = Keep(seconds=60 * KEPT_MINUTES, limit=2**30)


@dataclass(frozen=True)
class Photo:
    """A photo and the places of its frame: those of its faces, and which one is chosen or put by hand."""

    key: str
    data: bytes
    size: tuple[int, int]
    view: Image.Image
    faces: tuple[Placement, ...]
    place: Placement
    example: str = ""  # the file's name when it is one of ours
    name: str = "photo"  # what downloads are named after
    note: str = ""  # what is to be said of its file
    suggestion: tuple[np.ndarray, Mapping[str, float]] | None = (
        None  # a mask of the view, and where sliders stand for it
    )

    @property
    def scale(self) -> float:
        """Pixels of the view for a pixel of the photo."""
        return self.view.width / self.size[0]

    @property
    def chosen(self) -> int | None:
        """Which face the frame lies on; None when it was placed by hand."""
        return self.faces.index(self.place) if self.place in self.faces else None

    @property
    def places(self) -> tuple[Placement, ...]:
        """All frames to show: the faces', and the one placed by hand if there is one."""
        return self.faces if self.chosen is not None else (*self.faces, self.place)

    def full(self) -> Image.Image:
        """The photo at its own size."""
        return self.view if self.view.size == self.size else open_photo(self.data, notes=[])

    @cached_property
    def frame(self) -> Image.Image:
        """The 64x64 picture that the model sees."""
        return self.place.frame(self.full())

    @property
    def view_place(self) -> Placement:
        """Where the frame lies in the view."""
        return self.on_view(self.place)

    def on_view(self, place: Placement) -> Placement:
        """A place in the photo as a place in the view."""
        return Placement(place.x * self.scale, place.y * self.scale, place.size * self.scale, place.angle)

    def preset(self, name: str) -> np.ndarray:
        """A ready-made hole (see `face_hole`) on the view: boolean (height, width), True = keep."""
        distances = self._distances if name in FOLLOWING else None
        return face_hole(self.view, self.view_place, name, distances)

    @cached_property
    def _distances(self) -> np.ndarray:
        return face_map(self.view, self.view_place)

    def suggested(self, mask: np.ndarray) -> Mapping[str, float] | None:
        """Where an example, a link or an earlier result wants the sliders for this mask of the view: name -> value.
        None where none of them is of this hole."""
        if self.suggestion is None or not np.array_equal(mask, self.suggestion[0]):
            return None
        return self.suggestion[1]

    def cut(self, mask: np.ndarray) -> tuple[np.ndarray, bool]:
        """A mask of the view with its hole cut to the frame, and whether that took more than its rim. Raises PageError.

        A brush that follows the frame's edge may cover pixels whose centres lie outside.
        """
        outside = self.preset("full")
        within = mask | outside
        if mask.all():
            raise PageError("There is no hole yet: paint over the part to fill in.")
        if within.all():
            raise PageError("The hole lies outside the square. Only the square is filled: paint inside it.")
        lost = int((~mask & outside).sum())
        return within, lost > 4 * self.view_place.size

    def subject(self, mask: np.ndarray) -> Subject:
        """A cut mask of the view, and the view; the frame is that of the photo itself."""
        place = self.view_place
        return Subject(self.view, place, mask, self.frame, place.frame_mask(mask))

    def at_full_size(self, subject: Subject) -> Subject:
        """A subject of the view as one of the photo, at the photo's own size."""
        if self.view.size == self.size:
            return subject
        large = np.asarray(Image.fromarray(subject.mask).resize(self.size, Image.Resampling.NEAREST))
        mask = large | self.place.photo_mask(np.zeros((FRAME, FRAME), dtype=bool), self.size)
        return replace(subject, photo=self.full(), placement=self.place, mask=mask)

    def placed(self, place: Placement) -> Photo:
        """The same photo with its frame elsewhere, kept in the place of this one."""
        moved = replace(self, place=place)
        try:
            _ = moved.frame, moved.preset("full")
        except PhotoError:
            raise PageError("The square lies outside the photo, or is too small. Change its numbers.") from None
        return keep(moved)


def keep(photo: Photo) -> Photo:
    """Keeps the photo in memory."""
    KEPT.put(photo, len(photo.data) + memory_of(photo.view), photo.key)
    return photo


def kept(key: object) -> Photo:
    """The photo of this key. Raises PageError."""
    photo = KEPT.get(key)
    if not isinstance(photo, Photo):
        raise PageError(GONE)
    return photo


def receive(path: object) -> bytes:
    """The content of an upload, which is deleted. Raises PageError."""
    if isinstance(path, str) and re.match("[A-Za-z][A-Za-z0-9+.-]*://", path):
        raise PageError("No address is fetched from here: send the photo itself.")
    folder = Path(get_upload_folder()).resolve()
    file = Path(path).resolve() if isinstance(path, str) and "\0" not in path and len(path) < MAX_PATH else folder
    if not file.is_relative_to(folder) or not file.is_file():
        raise PageError("The photo did not arrive. Choose it again.")
    try:
        if file.stat().st_size > MAX_BYTES:
            raise PageError(f"This file is larger than {MAX_BYTES >> 20} MB. Choose a smaller photo.")
        return file.read_bytes()
    finally:
        file.unlink(missing_ok=True)
        with suppress(OSError):
            file.parent.rmdir()


def plain_name(name: object) -> str:
    """A file's name without its ending and without what file systems or people stumble over; "photo" for none."""
    stem = Path(name[:200]).stem if isinstance(name, str) else ""
    return "-".join(re.findall(r"\w+", stem))[:60] or "photo"


def from_bytes(data: bytes, like: Photo | None = None, name: str = "photo") -> Photo:
    """Opens a picture file's content and keeps it. Its faces are those of `like`, or looked for. Raises PageError."""
    notes: list[str] = []
    try:
        picture = open_photo(data, "This file", notes)
    except PhotoError as error:
        raise PageError(f"{error}.") from None
    if min(picture.size) < SMALLEST_SIDE:
        raise PageError(f"This photo has {picture.width}x{picture.height} pixels: at least 16x16 are needed.")
    view = picture.copy()
    view.thumbnail((VIEW_SIDE, VIEW_SIDE), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if min(*view.size, min(picture.size) * view.width / picture.width) < SMALLEST:  # as `Photo.scale` has it
        raise PageError(f"This photo has {picture.width}x{picture.height} pixels: it is too narrow to be painted on.")
    faces = like.faces if like else tuple(_faces(picture))
    return keep(
        Photo(
            key=secrets.token_urlsafe(16),
            data=data,
            size=picture.size,
            view=view,
            faces=faces,
            place=like.place if like else faces[0] if faces else Placement.centred(picture.size),
            name=like.name if like else name,
            note=" ".join(f"{note}." for note in notes),
        )
    )


def _faces(picture: Image.Image) -> list[Placement]:
    """The faces' places; a picture of the frame's own size is a frame."""
    if picture.size == (FRAME, FRAME):
        return [Placement.centred(picture.size)]
    from ..photo.finding import find_faces

    try:
        return find_faces(picture)[:MAX_FACES]
    except (RuntimeError, OSError) as error:
        _log.error("finding faces: %s", error)
        raise PageError("Faces cannot be looked for at the moment. Please come back later.") from None


def by_hand(photo: Photo, x: object, y: object, size: object, angle: object) -> Placement:
    """The place that four numbers say. Raises PageError."""
    numbers = []
    names = ("X", "Y", "Size", "Turn")
    largest = 2 * max(photo.size)
    limits = ((0, photo.size[0]), (0, photo.size[1]), (SMALLEST_SIDE, largest), (-180, 180))
    for name, value, (low, high) in zip(names, (x, y, size, angle), limits, strict=True):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise PageError(f"{name} of the square is a number from {low} to {high}.")
        numbers.append(float(value))
    return Placement(*numbers)

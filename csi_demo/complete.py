"""The one road: photo → frame → method → finish → photo. Command line, page, API and Python all take it.

A `Subject` is what is filled; a `Request` says how, too. Both are checked where they are made.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from . import masks, methods
from .device import plain_steps, plain_torch, share_threads
from .errors import MaskError, PhotoError, UsageError
from .hints import Hint, as_hints, paint
from .methods import Method, checks
from .methods.base import Number
from .photo.colour import srgb_profile
from .photo.outline import FOLLOWING, face_hole
from .photo.placement import SMALLEST, Placement
from .photo.reading import PhotoLike, to_photo
from .photo.refining import Scene, can_refine
from .photo.toning import Tone
from .pixels import FRAME, mask_to_tensor, to_pictures, to_tensor

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class FrameStep:
    """A moment of a completion: one 64x64 RGB picture a sample, progress from 0 to 1, info and views as in `Step`."""

    pictures: list[Image.Image]
    progress: float
    info: dict[str, Any] = field(default_factory=dict)
    views: dict[str, list[Image.Image]] = field(default_factory=dict)


@dataclass(frozen=True)
class Finish:
    """How a fill becomes a part of its photo. blend: fitted to what is around it (see `Placement.paste`); refine: first
    redrawn at the photo's own resolution (see `photo.refining`), where that is higher than the frame's."""

    blend: bool = True
    refine: bool = True


@dataclass(frozen=True)
class Subject:
    """What is filled: a hole in a photo, and both of them in the frame.

    photo: RGB, of any size; placement: where the frame lies in it; mask: (height, width) of the photo, True = keep;
    frame: the 64x64 picture that a method sees; frame_mask: boolean (64, 64), True = observed. face_found: None where
    no face was looked for, since the placement was given or the photo is the frame.
    """

    photo: Image.Image
    placement: Placement
    mask: np.ndarray
    frame: Image.Image
    frame_mask: np.ndarray
    face_found: bool | None = None

    @classmethod
    def of(
        cls,
        photo: PhotoLike,
        mask: Any,
        *,
        face: int | None = None,
        placement: Placement | Sequence[float] | str | None = None,
        notes: list[str] | None = None,
    ) -> Subject:
        """Of a photo of any size: the frame lies at the placement, or else where `place_frame` puts it.

        photo: see `to_photo`; mask: of the photo, see `masks.to_mask`, or the name of a family in the frame; notes: see
        `place_frame`. Raises as `to_photo`, `place_frame`, `fit_mask` and `Placement.frame`.
        """
        photo, said, found = to_photo(photo), list[str](), None
        if placement is None:
            place = place_frame(photo, face, said)
            found = None if photo.size == (FRAME, FRAME) and face is None else not said
        else:
            place = as_placement(placement)
        _tell(said, notes)
        large, small = fit_mask(mask, place, photo)
        return cls(photo, place, large, place.frame(photo), small, found)

    @classmethod
    def of_frame(cls, frame: Image.Image, mask: np.ndarray) -> Subject:
        """Of a 64x64 frame alone; mask: boolean (64, 64), True = observed."""
        frame = to_photo(frame)
        if frame.size != (FRAME, FRAME):
            raise PhotoError(f"a frame is {FRAME}x{FRAME} pixels, this one {frame.width}x{frame.height}")
        return cls(frame, Placement.centred(frame.size), mask, frame, mask)

    def refines(self, finish: Finish) -> bool:
        """Whether a fill is to be redrawn: whether that is wanted and possible, and the photo has more to show."""
        return finish.refine and self.placement.size > FRAME and can_refine()

    @plain_torch()
    def finished(self, fill: Image.Image, finish: Finish) -> Image.Image:
        """The photo at its own size with a fill of the frame, 64x64, in the hole; other pixels are the photo's own.

        Raises WeightsError for a refiner that is damaged.
        """
        share_threads()
        if self.refines(finish):
            fill = self._scene.refine(fill, finish.blend)
        if finish.blend:
            fill = Image.fromarray(self._tone.give(np.asarray(fill)))
        return self.placement.paste(self.photo, self.mask, fill, finish.blend)

    @cached_property
    def _scene(self) -> Scene:
        return Scene.of(self.photo, self.mask, self.placement)

    @cached_property
    def _tone(self) -> Tone:
        return Tone.of(np.asarray(self.frame), self.frame_mask)

    def start_values(self, method: Method) -> dict[str, float]:
        """Where the controls of a method stand for this subject before anyone moves them."""
        return method.start_values(to_tensor(self.frame), mask_to_tensor(self.frame_mask))

    def surprise(self, method: Method, seed: int) -> dict[str, float]:
        """Control values drawn around where they stand for this subject; see `Method.surprise`."""
        return method.surprise(to_tensor(self.frame), mask_to_tensor(self.frame_mask), seed)

    @plain_torch()
    def presets(self, method: Method) -> dict[str, tuple[dict[str, float], Image.Image]]:
        """Label -> values of controls, and the frame as they would have it; see `Method.presets`."""
        image, mask = to_tensor(self.frame), mask_to_tensor(self.frame_mask)
        found = method.presets(mask)
        if not found:
            return {}
        drawn, seen = to_pictures(method.previews(image, mask, list(found.values()))), self.frame_mask[:, :, None]
        toned = (np.where(seen, np.asarray(self.frame), self._tone.give(np.asarray(picture))) for picture in drawn)
        return {label: (found[label], Image.fromarray(picture)) for label, picture in zip(found, toned, strict=True)}

    def relevance(self, method: Method) -> dict[str, float]:
        """What the controls of a method are ordered by for this hole; see `Method.relevance`."""
        return method.relevance(mask_to_tensor(self.frame_mask))


@dataclass(frozen=True)
class Request:
    """A subject, how it is to be filled, and how the fill is to be put into the photo.

    controls, options: those that are given, checked. hints: dabs of paint in the hole, see `hints.as_hints`.
    """

    subject: Subject
    method: Method
    seeds: tuple[int, ...] = (0,)
    controls: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, float] = field(default_factory=dict)
    finish: Finish = Finish()
    hints: tuple[Hint, ...] = ()

    def __post_init__(self) -> None:
        """Raises ControlError for a control or option that the method does not have, or a value out of range, and
        UsageError for hints where it takes none or none lies in the hole."""
        self.method.check_controls(self.controls)
        self.method.check_options(self.options)
        self.method.check_hints(self._paint, to_tensor(self.subject.frame))

    @cached_property
    def _paint(self) -> Tensor | None:
        return paint(self.hints, self.subject.placement, self.subject.frame_mask)

    def steps(self) -> Generator[FrameStep]:
        """Fills the hole of the frame once for every seed, step by step. Closing the iterator stops the work.

        Raises as `Method.complete`.
        """
        return plain_steps(self._steps())

    def _steps(self) -> Generator[FrameStep]:
        image, mask = to_tensor(self.subject.frame), mask_to_tensor(self.subject.frame_mask)
        share_threads()
        for step in self.method.complete(image, mask, self.seeds, self.controls, self.options, self._paint):
            views = {name: to_pictures(images) for name, images in step.views.items()}
            yield FrameStep(to_pictures(step.images), step.progress, step.info, views)
            share_threads()  # between two steps the caller's count holds

    def last_step(self) -> FrameStep:
        """The step that completes the fill."""
        *_, last = self.steps()
        return last

    def finished(self, fill: Image.Image) -> Image.Image:
        """The photo at its own size with a fill of the frame in the hole."""
        return self.subject.finished(fill, self.finish)


@plain_torch()
def complete_photo(
    photo: PhotoLike,
    mask: Any,
    method: str | Method = "csi",
    seeds: Sequence[int] | int = (0,),
    controls: Mapping[str, Number] | None = None,
    options: Mapping[str, Number] | None = None,
    *,
    face: int | None = None,
    placement: Placement | Sequence[float] | str | None = None,
    blend: bool = True,
    refine: bool = True,
    hints: Sequence[Any] | None = None,
) -> list[Image.Image]:
    """Fills the hole of a photo of any size and returns it once for every seed, at its own size, upright and in sRGB.

    photo: a picture, turned as its EXIF says, a path, a file's content or an array (see `to_photo`). mask: of the photo
    as it is seen, any array or picture (see `masks.to_mask`), or the name of a family in the frame. method: a name of
    `available_methods`, or what `load_method` returns. The frame lies at the placement, or else where `place_frame`
    puts it. blend, refine: see `Finish`. hints: dabs of paint in the hole that the fill obeys, see `hints.as_hints`,
    where the method takes them. Raises as `load_method`, `Subject.of`, `Request` and `Subject.finished`, and
    UsageError for other arguments.
    """
    finish = Finish(checks.switch(blend, "blend"), checks.switch(refine, "refine"))
    numbers = checks.seeds(seeds)
    if not isinstance(method, str | Method):
        raise UsageError(f"method {method!r:.40}: need a name, one of {', '.join(methods.available_methods())}")
    loaded = method if isinstance(method, Method) else methods.load_method(method)
    controls, options = _settings(controls, "controls"), _settings(options, "options")
    loaded.check_controls(controls)
    loaded.check_options(options)
    subject = Subject.of(photo, mask, face=face, placement=placement)
    request = Request(subject, loaded, numbers, controls, options, finish, as_hints(hints))
    pictures = [request.finished(picture) for picture in request.last_step().pictures]
    for picture in pictures:
        picture.info["icc_profile"] = srgb_profile()  # so that files say it that they are saved to
    return pictures


def _settings(values: Mapping[str, Number] | None, what: str) -> Mapping[str, Number]:
    if values is not None and not isinstance(values, Mapping):
        raise UsageError(f"{what} {values!r:.40}: need numbers by name")
    return values or {}


def as_placement(place: Placement | Sequence[float] | str) -> Placement:
    """A placement, or its numbers: x, y, size and perhaps the angle, or a text of them. Raises PhotoError."""
    if isinstance(place, Placement):
        return place
    if isinstance(place, str):
        return Placement.from_numbers(place)
    if not isinstance(place, Sequence | np.ndarray) or len(place) not in (3, 4):
        raise PhotoError(f"{place!r:.60} is no place in a photo: need x, y, size and perhaps an angle")
    return Placement(*(checks.number(value, "a number of the place") for value in place))


def place_frame(photo: Image.Image, face: int | None = None, notes: list[str] | None = None) -> Placement:
    """Where the frame lies in an RGB photo: around the face of this number, 1 being the most prominent.

    Without a number a photo of 64x64 is the frame itself, and a photo in which no face is found gets its largest square
    in the middle, with a note, which goes to standard error unless notes takes it. Raises PhotoError for a number
    beyond the faces found, and for a photo that is too small for any square.
    """
    if face is None and photo.size == (FRAME, FRAME):
        return Placement.centred(photo.size)
    face = face if face is None else checks.whole(face, "the face", 0, sys.maxsize)
    from .photo.finding import find_faces

    found = find_faces(photo)
    if face is not None and not 1 <= face <= len(found):
        raise PhotoError(f"there is no face {face}: {_count(len(found))} found in the photo")
    if found:
        return found[(face or 1) - 1]
    if min(photo.size) < SMALLEST:
        raise PhotoError(
            f"the photo has {photo.width}x{photo.height} pixels: at least {SMALLEST}x{SMALLEST} are needed"
        )
    _tell(["no face found: the largest square in the middle of the photo is filled in"], notes)
    return Placement.centred(photo.size)


def _tell(said: list[str], notes: list[str] | None) -> None:
    if notes is not None:
        notes += said
    else:
        for note in said:
            print(f"csi_demo: {note}", file=sys.stderr)


def _count(faces: int) -> str:
    return f"{faces or 'no'} {'face was' if faces == 1 else 'faces were'}"


def fit_mask(mask: Any, placement: Placement, photo: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """A mask in an RGB photo, boolean (height, width), and in its frame, boolean (64, 64).

    mask: of the photo (see `masks.to_mask`), or the name of a family (see `face_hole`).
    Raises MaskError for an unknown family, a mask of another size or one that seems to be inverted, or a hole that is
    not in the photo, and PhotoError for one that reaches outside the frame.
    """
    if isinstance(mask, str):
        small = masks.family(mask)
        large = face_hole(photo, placement, mask)
        if large.all():
            raise MaskError(f"the hole {mask!r} lies outside the photo where the frame is placed")
        return large, placement.frame_mask(large) if mask in FOLLOWING and not placement.exact else small
    mask = masks.to_mask(mask)
    check_size(mask, photo.size)
    masks.check_way(mask)
    return mask, placement.frame_mask(mask)


def check_size(mask: np.ndarray, size: tuple[int, int], name: str = "the mask") -> None:
    """Raises MaskError for a mask (height, width) that is not of a photo's (width, height)."""
    if mask.shape != size[::-1]:
        turned = " and its sides the right way round (a photo may be stored turned)" if mask.shape == size else ""
        raise MaskError(
            f"{name} is {mask.shape[1]}x{mask.shape[0]}, the photo {size[0]}x{size[1]}: make them one size{turned}"
        )

"""A session of the Neural Photo Editor on one photo: paint, steer, sample, commit, undo, and what comes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..complete import as_placement, place_frame
from ..device import in_plain_torch
from ..errors import EditError
from ..models.ian import IAN
from ..photo.colour import read_colour
from ..photo.placement import Placement
from ..photo.reading import PhotoLike, to_photo
from ..pixels import to_float, to_levels, to_pictures, to_tensor
from . import transfer
from .brush import BOUND, MAX_STEPS, Brush, Hold, Patch, as_array, checked
from .network import DrawnFace, load_network
from .steering import named

MAX_SEED = 2**31 - 1
RAW = re.compile(r"z[0-9]{1,4}")  # names of raw latents
MAX_HISTORY = 2000  # moments that can be gone back to; a commit's weighs 15 kilobytes, another's one
STRENGTH, MAX_STRENGTH = 2.0, 10.0  # of the mask's gain
DEFAULT_BRUSH = Brush()


def open_editor(
    photo: PhotoLike,
    *,
    face: int | None = None,
    placement: Placement | Sequence[float] | str | None = None,
    brush: Brush = DEFAULT_BRUSH,
    strength: float = STRENGTH,
) -> Editor:
    """An editor of a photo of any size, the square to be edited at the placement or where `place_frame` puts it.

    photo: see `to_photo`; brush: how it paints; strength: how much of a change shows in the photo, see `transfer`; in
    the paper ``Brush(local=False)`` and 1. Raises PhotoError for a face that is not found, WeightsError, and EditError
    for another strength.
    """
    photo = to_photo(photo)
    place = place_frame(photo, face) if placement is None else as_placement(placement)
    return Editor(photo, place, brush=brush, strength=strength)


@dataclass(frozen=True)
class _Base:
    """What edits start from: the photo that was opened (no parent), or the result of an edit that was committed.

    frame: (1, 3, 64, 64), uint8; z: the latents that were inferred from it, (1, z).
    """

    number: int
    parent: _Moment | None
    frame: Tensor
    z: Tensor


@dataclass(frozen=True)
class _Moment:
    """Where a session stands. z: latents (1, z); sampled: whether the face is drawn from latents alone; stroke: the
    number of the stroke that led here, whose moves are undone together; steered: the named latents that were moved."""

    base: _Base
    z: Tensor
    sampled: bool = False
    stroke: int | None = None
    steered: Mapping[str, float] = field(default_factory=dict)


@in_plain_torch
class Editor:
    """Edits one photo. Positions and sizes are in photo pixels; nothing that raises an error changes anything.

    What is remembered of the past are latents: earlier photos are made anew when they are gone back to, so that it does
    not grow by photos. Not safe for use by several threads at a time.
    """

    def __init__(
        self,
        photo: Image.Image | Callable[[], Image.Image],
        placement: Placement,
        *,
        brush: Brush = DEFAULT_BRUSH,
        strength: float = STRENGTH,
        network: IAN | None = None,
    ):
        """As `open_editor`; photo: RGB, or what gives it whenever it is needed, so that memory need not hold it."""
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0.0 < strength <= MAX_STRENGTH:
            raise EditError(f"strength {strength!r:.40} is out of range: more than 0, at most {MAX_STRENGTH:g}")
        self.placement, self.brush, self.strength = placement, brush, float(strength)
        self._open = photo if callable(photo) else lambda: photo
        self._network = network or load_network()
        self._numbers = count(1)
        root = self._base(self._open(), None)
        self._history = [_Moment(root, root.z)]
        self._at = 0
        self._drawing = DrawnFace(self._network, root.z)
        self._shown: tuple[_Base, Tensor] | None = None  # a base and its reconstruction
        self._held: tuple[_Moment, Hold] | None = None  # where the last move of paint led, what its stroke left alone

    # What there is to see

    @property
    def latents(self) -> np.ndarray:
        """The latents, float32 (z,), prior standard deviation 1."""
        return self._now.z[0].numpy().copy()

    @latents.setter
    def latents(self, values: Sequence[float] | np.ndarray) -> None:
        self._put(values, None)

    def _put(self, values: Sequence[float] | np.ndarray, stroke: int | None) -> None:
        found = np.asarray(values, dtype=np.float64)
        if found.shape != self._now.z.shape[1:]:
            raise EditError(f"{found.size} latents: this model has {self._now.z.shape[1]}")
        if not np.isfinite(found).all() or np.abs(found).max() > BOUND:
            raise EditError(f"a latent is a number from {-BOUND:g} to {BOUND:g}")
        self._enter(replace(self._now, z=torch.from_numpy(found).float()[None], stroke=stroke))

    @property
    def frame(self) -> Image.Image:
        """The 64x64 frame with the edit transferred to it by the paper's equation, or a sampled face as it is."""
        now = self._drawing.picture
        if self._now.sampled:
            return to_pictures(now)[0]
        frame, edited, reconstruction = self._behind(self._now, now)
        pixels = transfer.edit_frame(frame, edited, reconstruction, self.strength)
        return to_pictures(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]

    @property
    def photo(self) -> Image.Image:
        """The photo at its own size, with the edit; RGB."""
        return self.render(self._open(), self.placement)

    @property
    def before(self) -> Image.Image:
        """The photo that the present edit starts from: as opened, or as last committed."""
        return self.committed(self._open(), self.placement)

    def render(self, photo: Image.Image, placement: Placement) -> Image.Image:
        """The edit and all that were committed before it in a rendering of the photo, such as a smaller one."""
        return self._rendered(self._now, self._drawing.picture, self.committed(photo, placement), placement)

    def committed(self, photo: Image.Image, placement: Placement) -> Image.Image:
        """The committed edits alone, in a rendering of the photo."""
        return self._committed(self._now.base, photo, placement)

    def edit(self, before: Image.Image, placement: Placement) -> Image.Image:
        """The present edit in a rendering of what it starts from, as `committed` gives it."""
        return self._rendered(self._now, self._drawing.picture, before, placement)

    @property
    def base(self) -> int:
        """A number that tells what the present edit starts from: 0 for the photo as it was opened."""
        return self._now.base.number

    @property
    def views(self) -> dict[str, Image.Image]:
        """What is behind the edit, 64x64: frame, reconstruction, edited reconstruction, and mask, white = edited."""
        frame, edited, reconstruction = self._behind(self._now, self._drawing.picture)
        mask = transfer.edit_mask(edited, reconstruction, self.strength)
        stacked = torch.from_numpy(np.stack((frame, reconstruction, edited))).permute(0, 3, 1, 2)
        names = ("frame", "reconstruction", "edited")
        grey = Image.fromarray(np.rint(255.0 * mask).astype(np.uint8))
        return dict(zip(names, to_pictures(stacked), strict=True)) | {"mask": grey}

    # What can be done

    def paint(
        self, x: float, y: float, size: float, colour: str | Sequence[int], steps: int = 1, *, stroke: int | None = None
    ) -> None:
        """Paints a colour over a square of this side around a point: `Brush.paint`, so many steps.

        colour: ``#RRGGBB`` or red, green, blue from 0 to 255. stroke: a number shared by moves which are undone
        together, and which leave alone what was there before the first of them. Raises EditError for a place outside
        the square or a size or number of steps out of range, UsageError for no colour.
        """
        patch, number = self._patch(x, y, size), _whole(steps, "steps", 1, MAX_STEPS)
        hold = self._hold(stroke).but(patch)
        self._draw(self.brush.paint(self._drawing, patch, read_colour(colour), number, hold), stroke)
        self._held = self._now, hold

    def lighten(self, x: float, y: float, size: float, steps: int = 1, *, stroke: int | None = None) -> None:
        """Lightens a square around a point by so many steps, or darkens it where they are negative. As `paint`."""
        number = _whole(steps, "steps", -MAX_STEPS, MAX_STEPS)
        if not number:
            raise EditError("steps 0 changes nothing: more than 0 lightens, less darkens")
        self._draw(self.brush.lighten(self._drawing, self._patch(x, y, size), number), stroke)

    def set(self, name: str, value: float, *, stroke: int | None = None) -> None:
        """Sets a raw latent, ``z0`` and so on, or moves a named one from where the photo has it, 0, to a value.

        stroke: as of `paint`, for a slider on its way. Raises EditError for a name that is none, and ControlError for a
        value out of range.
        """
        if RAW.fullmatch(name):
            values, index = self.latents, int(name[1:])
            if index >= len(values):
                raise EditError(f"there is no latent {name}: this model has z0 to z{len(values) - 1}")
            try:
                values[index] = value
            except (TypeError, ValueError):
                raise EditError(f"{name}={value!r:.40}: a latent is a number from {-BOUND:g} to {BOUND:g}") from None
            self._put(values, stroke)
            return
        chosen = named(name)
        number = chosen.control.check(value)
        z = self._now.z + (number - self._now.steered.get(name, 0.0)) * chosen.vector
        steered = {**self._now.steered, name: number}
        self._enter(replace(self._now, z=checked(z), stroke=stroke, steered=steered))

    @property
    def steered(self) -> dict[str, float]:
        """Where the named latents that were moved stand: name -> value."""
        return dict(self._now.steered)

    def sample(self, seed: int = 0) -> None:
        """Draws a face from the prior in the photo's place; the same seed draws the same face."""
        number = _whole(seed, "seed", 0, MAX_SEED)
        z = torch.randn(self._now.z.shape, generator=torch.Generator().manual_seed(number))
        self._enter(_Moment(self._now.base, z.clamp(-BOUND, BOUND), sampled=True))

    def reset(self) -> None:
        """Takes all that was done since the photo was opened, or since the last commit, out of it; can be undone."""
        self._enter(_Moment(self._now.base, self._now.base.z))

    def commit(self) -> None:
        """Makes the edited photo the one that the next edit starts from; can be undone."""
        base = self._base(self.photo, self._now)
        self._enter(_Moment(base, base.z))

    def undo(self) -> bool:
        """Goes back by a stroke, a commit or whatever was done last; False where there is nothing to undo."""
        return self._go(self._at - 1)

    def redo(self) -> bool:
        """Does again what was undone last; False where there is nothing."""
        return self._go(self._at + 1)

    @property
    def edited(self) -> bool:
        """Whether anything was done since the photo was opened, or since the last commit."""
        return self._now.sampled or self._now.z is not self._now.base.z

    @property
    def undoable(self) -> bool:
        return self._at > 0

    @property
    def redoable(self) -> bool:
        return self._at + 1 < len(self._history)

    def rest(self) -> None:
        """Lets go of what only the next move of a stroke would want."""
        self._drawing.forget()

    # How it is kept

    @property
    def _now(self) -> _Moment:
        return self._history[self._at]

    @torch.no_grad()
    def _base(self, photo: Image.Image, parent: _Moment | None) -> _Base:
        frame = to_tensor(self.placement.frame(photo))
        number = 0 if parent is None else next(self._numbers)
        return _Base(number, parent, to_levels(frame), checked(self._network.encode(frame)))

    def _committed(self, base: _Base, photo: Image.Image, placement: Placement) -> Image.Image:
        before: list[_Moment] = []
        while base.parent is not None:
            before.append(base.parent)
            base = base.parent.base
        for moment in reversed(before):
            drawn = DrawnFace(self._network, moment.z).picture
            photo = self._rendered(moment, drawn, photo, placement)
        return photo

    def _rendered(self, moment: _Moment, drawn: Tensor, photo: Image.Image, placement: Placement) -> Image.Image:
        """A moment's edit, whose picture is drawn (1, 3, 64, 64), in a rendering of what it starts from."""
        if moment.sampled:
            return transfer.square_into(photo, placement, to_pictures(drawn)[0])
        frame, edited, reconstruction = self._behind(moment, drawn)
        pixels = transfer.edit_photo(np.asarray(photo), placement, frame, edited, reconstruction, self.strength)
        return Image.fromarray(pixels)

    def _behind(self, moment: _Moment, drawn: Tensor) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """X, G(z) and R of `transfer`: (64, 64, 3) in [-1, 1]."""
        base = moment.base
        if self._shown is None or self._shown[0] is not base:
            self._shown = base, DrawnFace(self._network, base.z).picture
        return as_array(to_float(base.frame)), as_array(drawn), as_array(self._shown[1])

    def _draw(self, drawing: DrawnFace, stroke: int | None) -> None:
        self._enter(replace(self._now, z=drawing.z, stroke=stroke), drawing)

    def _hold(self, stroke: int | None) -> Hold:
        if self._held and self._held[0] is self._now and stroke is not None and stroke == self._now.stroke:
            return self._held[1]
        return Hold.of(self._drawing.picture)

    def _enter(self, moment: _Moment, drawing: DrawnFace | None = None) -> None:
        """Goes on to a moment; one of the same stroke takes the place of the last."""
        del self._history[self._at + 1 :]
        joined = moment.stroke is not None and moment.stroke == self._now.stroke and moment.base is self._now.base
        if joined:
            self._history[self._at] = moment
        else:
            self._history.append(moment)
        del self._history[: max(0, len(self._history) - MAX_HISTORY)]
        self._at = len(self._history) - 1
        self._drawing = drawing or DrawnFace(self._network, moment.z)

    def _go(self, place: int) -> bool:
        if not 0 <= place < len(self._history):
            return False
        self._at = place
        self._drawing = DrawnFace(self._network, self._now.z)
        return True

    def _patch(self, x: float, y: float, size: float) -> Patch:
        numbers = {"x": x, "y": y, "size": size}
        for name, value in numbers.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise EditError(f"{name} {value!r:.40} is no number: it is in photo pixels")
        side = self.placement.size
        if not 0.0 < size <= side:
            raise EditError(f"a brush of {size:g} pixels is out of range: more than 0, at most the square's {side:g}")
        across, down = self.placement.to_frame(np.array([float(x), float(y)]))
        return Patch.around(float(across), float(down), size * 64 / side)


def _whole(value: object, what: str, least: int, most: int) -> int:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
    if not fits or value != int(value):  # type: ignore[call-overload]
        raise EditError(f"{what} {value!r:.40}: a whole number from {least} to {most}")
    return int(value)  # type: ignore[call-overload]

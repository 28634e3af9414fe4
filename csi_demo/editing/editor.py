"""A session of the Neural Photo Editor on one photo: paint, steer, sample, commit, undo, and what comes of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import count

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ..complete import place_frame
from ..errors import EditError
from ..models.ian import IAN
from ..photo.placement import Placement
from ..pixels import to_pictures, to_tensor
from . import transfer
from .brush import BOUND, MAX_STEPS, Brush, Patch, as_array, checked, read_colour
from .network import Drawing, load_network

MAX_SEED = 2**31 - 1
MAX_HISTORY = 10_000  # moments that can be gone back to, less than a kilobyte each
STRENGTH, MAX_STRENGTH = 2.0, 10.0  # of the mask's gain
DEFAULT_BRUSH = Brush()
KEPT_BASES = 2  # photos that edits start from, beside the first: the others are made anew when they are gone back to


def open_editor(
    photo: Image.Image,
    *,
    face: int | None = None,
    placement: Placement | None = None,
    brush: Brush = DEFAULT_BRUSH,
    strength: float = STRENGTH,
) -> Editor:
    """An editor of a photo of any size, the square to be edited at the placement or where `place_frame` puts it.

    brush: how it paints; strength: how much of a change shows in the photo, see `transfer`; in the paper ``Brush(local=
    False)`` and 1. Raises PhotoError for a face that is not found, WeightsError, and EditError for another strength.
    """
    photo = photo.convert("RGB")
    return Editor(photo, placement or place_frame(photo, face), brush=brush, strength=strength)


@dataclass(frozen=True)
class _Base:
    """What edits start from: the photo that was opened (no parent), or the result of an edit that was committed."""

    number: int
    parent: _Moment | None


@dataclass(frozen=True)
class _Moment:
    """Where a session stands. z: latents (1, z); sampled: whether the face is drawn from latents alone; stroke: the
    number of the stroke that led here, whose moves are undone together."""

    base: _Base
    z: Tensor
    sampled: bool = False
    stroke: int | None = None
    moves: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ground:
    """The pixels of a base. photo: RGB; frame, reconstruction: (1, 3, 64, 64) in [-1, 1]; z: (1, z), as inferred."""

    photo: Image.Image
    frame: Tensor
    z: Tensor
    reconstruction: Tensor


class Editor:
    """Edits one photo. Positions and sizes are in photo pixels; nothing that raises an error changes anything.

    Not safe for use by several threads at a time.
    """

    def __init__(
        self,
        photo: Image.Image,
        placement: Placement,
        *,
        brush: Brush = DEFAULT_BRUSH,
        strength: float = STRENGTH,
        network: IAN | None = None,
    ):
        if isinstance(strength, bool) or not isinstance(strength, int | float) or not 0.0 < strength <= MAX_STRENGTH:
            raise EditError(f"strength {strength!r:.40} is out of range: more than 0, at most {MAX_STRENGTH:g}")
        self.placement, self.brush, self.strength = placement, brush, float(strength)
        self._network = network or load_network()
        self._numbers = count(1)
        root = _Base(0, None)
        self._root = self._ground_of(photo)
        self._grounds: dict[int, _Ground] = {}
        self._history = [_Moment(root, self._root.z)]
        self._at = 0
        self._drawing = Drawing(self._network, self._root.z)
        self._drawing._picture = self._root.reconstruction
        self._photo: tuple[_Moment, Image.Image] | None = None

    # What there is to see

    @property
    def latents(self) -> np.ndarray:
        """The latents, float32 (z,), prior standard deviation 1."""
        return self._now.z[0].numpy().copy()

    @latents.setter
    def latents(self, values: Sequence[float] | np.ndarray) -> None:
        found = np.asarray(values, dtype=np.float64)
        if found.shape != self._now.z.shape[1:]:
            raise EditError(f"{found.size} latents: this model has {self._now.z.shape[1]}")
        if not np.isfinite(found).all() or np.abs(found).max() > BOUND:
            raise EditError(f"a latent is a number from {-BOUND:g} to {BOUND:g}")
        self._enter(replace(self._now, z=torch.from_numpy(found).float()[None], stroke=None))

    @property
    def frame(self) -> Image.Image:
        """The 64x64 frame with the edit transferred to it by the paper's equation, or a sampled face as it is."""
        ground, now = self._ground, self._drawing.picture
        if self._now.sampled:
            return to_pictures(now)[0]
        frame, edited, reconstruction = (as_array(each) for each in (ground.frame, now, ground.reconstruction))
        pixels = transfer.edit_frame(frame, edited, reconstruction, self.strength)
        return to_pictures(torch.from_numpy(pixels).permute(2, 0, 1)[None])[0]

    @property
    def photo(self) -> Image.Image:
        """The photo at its own size, with the edit; RGB."""
        if self._photo is None or self._photo[0] is not self._now:
            self._photo = self._now, self.render(self._ground.photo, self.placement)
        return self._photo[1].copy()

    def render(self, photo: Image.Image, placement: Placement) -> Image.Image:
        """The edit in another rendering of the photo that it starts from, such as a smaller one."""
        return self._rendered(self._now, self._drawing.picture, self._ground, photo, placement)

    @property
    def before(self) -> Image.Image:
        """The photo that the present edit starts from."""
        return self._ground.photo.copy()

    @property
    def views(self) -> dict[str, Image.Image]:
        """What is behind the edit, 64x64: frame, reconstruction, edited reconstruction, and mask, white = edited."""
        ground, now = self._ground, self._drawing.picture
        mask = transfer.edit_mask(as_array(now), as_array(ground.reconstruction), self.strength)
        frame, reconstruction, edited = to_pictures(torch.cat((ground.frame, ground.reconstruction, now)))
        return {
            "frame": frame,
            "reconstruction": reconstruction,
            "edited": edited,
            "mask": Image.fromarray(np.rint(255.0 * mask).astype(np.uint8)),
        }

    # What can be done

    def paint(
        self,
        x: float,
        y: float,
        size: float,
        colour: str | Sequence[int],
        steps: int = 1,
        *,
        stroke: int | None = None,
    ) -> None:
        """Paints a colour over a square of this side around a point: `Brush.paint`, so many steps.

        colour: ``#RRGGBB`` or red, green, blue from 0 to 255. stroke: a number shared by moves which are undone
        together. Raises EditError for a place outside the square, a size or number of steps out of range, no colour.
        """
        patch, number = self._patch(x, y, size), _whole(steps, "steps", 1, MAX_STEPS)
        self._draw(self.brush.paint(self._drawing, patch, read_colour(colour), number), stroke)

    def lighten(self, x: float, y: float, size: float, steps: int = 1, *, stroke: int | None = None) -> None:
        """Lightens a square around a point by so many steps, or darkens it where they are negative. As `paint`."""
        number = _whole(steps, "steps", -MAX_STEPS, MAX_STEPS)
        if not number:
            raise EditError("steps 0 changes nothing: more than 0 lightens, less darkens")
        self._draw(self.brush.lighten(self._drawing, self._patch(x, y, size), number), stroke)

    def sample(self, seed: int = 0) -> None:
        """Draws a face from the prior in the photo's place; the same seed draws the same face."""
        number = _whole(seed, "seed", 0, MAX_SEED)
        z = torch.randn(self._now.z.shape, generator=torch.Generator().manual_seed(number))
        self._enter(_Moment(self._now.base, z.clamp(-BOUND, BOUND), sampled=True))

    def reset(self) -> None:
        """Takes all that was done since the photo was opened, or since the last commit, out of it; can be undone."""
        self._enter(_Moment(self._now.base, self._ground.z))

    def commit(self) -> None:
        """Makes the edited photo the one that the next edit starts from; can be undone."""
        base = _Base(next(self._numbers), self._now)
        ground = self._ground_of(self.photo)
        self._keep(base, ground)
        self._enter(_Moment(base, ground.z))

    def undo(self) -> bool:
        """Goes back by a stroke, a commit or whatever was done last; False where there is nothing to undo."""
        return self._go(self._at - 1)

    def redo(self) -> bool:
        """Does again what was undone last; False where there is nothing."""
        return self._go(self._at + 1)

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

    @property
    def _ground(self) -> _Ground:
        return self._ground_at(self._now.base)

    def _ground_at(self, base: _Base) -> _Ground:
        """The pixels of a base, made anew from its parent where they were let go."""
        if base.parent is None:
            return self._root
        if base.number not in self._grounds:
            before, drawn = self._ground_at(base.parent.base), Drawing(self._network, base.parent.z).picture
            edited = self._rendered(base.parent, drawn, before, before.photo, self.placement)
            self._keep(base, self._ground_of(edited))
        return self._grounds[base.number]

    def _rendered(
        self, moment: _Moment, drawn: Tensor, ground: _Ground, photo: Image.Image, placement: Placement
    ) -> Image.Image:
        """A moment's edit, whose picture is drawn (1, 3, 64, 64), in a rendering of the photo that it starts from."""
        if moment.sampled:
            return transfer.square_into(photo, placement, to_pictures(drawn)[0])
        frame, edited, reconstruction = (as_array(each) for each in (ground.frame, drawn, ground.reconstruction))
        pixels = transfer.edit_photo(np.asarray(photo), placement, frame, edited, reconstruction, self.strength)
        return Image.fromarray(pixels)

    def _keep(self, base: _Base, ground: _Ground) -> None:
        self._grounds[base.number] = ground
        while len(self._grounds) > KEPT_BASES:
            del self._grounds[next(iter(self._grounds))]

    @torch.no_grad()
    def _ground_of(self, photo: Image.Image) -> _Ground:
        frame = to_tensor(self.placement.frame(photo))
        z = checked(self._network.encode(frame))
        return _Ground(photo, frame, z, self._network.generator(z))

    def _draw(self, drawing: Drawing, stroke: int | None) -> None:
        self._enter(replace(self._now, z=drawing.z, stroke=stroke), drawing)

    def _enter(self, moment: _Moment, drawing: Drawing | None = None) -> None:
        """Goes on to a moment; one of the same stroke takes the place of the last."""
        del self._history[self._at + 1 :]
        joined = moment.stroke is not None and moment.stroke == self._now.stroke and moment.base is self._now.base
        if joined:
            self._history[self._at] = moment
        else:
            self._history.append(moment)
        del self._history[: max(0, len(self._history) - MAX_HISTORY)]
        self._at = len(self._history) - 1
        self._drawing = drawing or Drawing(self._network, moment.z)

    def _go(self, place: int) -> bool:
        if not 0 <= place < len(self._history):
            return False
        self._at = place
        self._drawing = Drawing(self._network, self._now.z)
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

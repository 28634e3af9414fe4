"""The contextual paintbrush (Brock et al., 2017, section "The Neural Photo Editor"): gradient steps on latents.

A brush covers a square patch of the 64x64 frame. Painting takes the latents a step towards a picture whose patch has
the wanted colour; what else changes is what goes along with it in faces. The paper's step goes straight down the
gradient, and light paint anywhere lights the whole face up, since that is what latents do most. A local step goes where
the patch changes most for how much the whole picture does: down the gradient divided by `IAN.metric`. It is also drawn
back to the picture before the stroke, but where the stroke has been: so white between the lips becomes teeth and not a
pale face, and a later stroke leaves an earlier one alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..errors import EditError
from ..pixels import FRAME
from .network import DrawnFace

PAINT_RATE = 0.05  # of the paper's step down the loss, for every pixel of the patch's width and one
LIGHT_RATE = 0.1  # of its step up the patch's brightness, likewise
LOCAL, LOCAL_LIGHT = 12.0, 4.0  # times those, of local steps
KEEP = 60.0  # of the way back to what a stroke is to leave alone, in a local step of paint
NEAR = 6  # pixels around the patch that may change with it
SOFTNESS = 0.1  # added to the metric, whose mean is 1: how far latents that change little may go
BOUND = 5.0  # of a latent, whose prior's standard deviation is 1: no face lies beyond
MAX_STEPS = 200  # of one stroke


@dataclass(frozen=True)
class Patch:
    """A part of the frame: rows top to bottom, columns left to right, in pixels, the ends not included."""

    left: int
    top: int
    right: int
    bottom: int

    @staticmethod
    def around(x: float, y: float, side: float) -> Patch:
        """The square of this side around a point of the frame, at least a pixel, as far as it lies in the frame.

        Raises EditError where none of it does.
        """
        width = max(1, round(side))
        left, top = round(x - width / 2), round(y - width / 2)
        patch = Patch(max(0, left), max(0, top), min(FRAME, left + width), min(FRAME, top + width))
        if patch.left >= patch.right or patch.top >= patch.bottom:
            raise EditError("the brush is outside the square of the photo that can be edited: paint inside it")
        return patch

    @property
    def width(self) -> int:
        return max(self.right - self.left, self.bottom - self.top)

    def of(self, pictures: Tensor) -> Tensor:
        """The patch of pictures (B, 3, H, W)."""
        return pictures[:, :, self.top : self.bottom, self.left : self.right]


@dataclass(frozen=True)
class Hold:
    """What a stroke is to leave alone. picture: the one before it, (1, 3, 64, 64) in [-1, 1]; where: 1 where it was not
    near, else 0, (1, 1, 64, 64)."""

    picture: Tensor
    where: Tensor

    @staticmethod
    def of(picture: Tensor) -> Hold:
        """All of a picture."""
        return Hold(picture, torch.ones_like(picture[:, :1]))

    def but(self, patch: Patch) -> Hold:
        """All that is held but a patch and what is near it."""
        where = self.where.clone()
        rows, columns = (
            slice(max(0, patch.top - NEAR), patch.bottom + NEAR),
            slice(max(0, patch.left - NEAR), patch.right + NEAR),
        )
        where[:, :, rows, columns] = 0.0
        return Hold(self.picture, where)

    def change(self, picture: Tensor) -> Tensor:
        """The mean squared change of what is held, a scalar."""
        return ((picture - self.picture).square() * self.where).mean()


@dataclass(frozen=True)
class Brush:
    """How steps are taken. local: by the metric and with the rest held, or as in the paper; prior: how much of the
    latents every step of paint takes away, 0 to 1, which keeps long strokes among the likelier faces."""

    local: bool = True
    prior: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.prior, bool) or not isinstance(self.prior, int | float) or not 0.0 <= self.prior < 1.0:
            raise EditError(f"prior {self.prior!r:.40} is out of range: 0 to less than 1")

    def paint(
        self, drawing: DrawnFace, patch: Patch, colour: tuple[int, int, int], steps: int, hold: Hold | None = None
    ) -> DrawnFace:
        """Takes the latents so many steps down the squared difference between the patch and the colour.

        L = mean over the patch and its channels of (colour - G(z))^2; z <- z - rate (1 + width) dL/dz, the width in
        pixels of the frame. Locally z <- z - (LOCAL rate (1 + width) dL/dz + KEEP dH/dz) / (metric + SOFTNESS), H the
        change of what is held, `Hold.change`; None: the present picture but the patch. Returns the new drawing. Raises
        EditError where the latents are lost.
        """
        wanted = torch.tensor(colour, dtype=torch.float32)[None, :, None, None] / 127.5 - 1.0
        rate = PAINT_RATE * (1 + patch.width)
        hold = hold or Hold.of(drawing.picture).but(patch)
        for _ in range(steps):
            leaf, picture = drawing.path()
            loss = rate * (patch.of(picture) - wanted).square().mean()
            if self.local:
                loss = LOCAL * loss + KEEP * hold.change(picture)
            drawing = self._moved(drawing, leaf, -loss, self.prior)
        return drawing

    def lighten(self, drawing: DrawnFace, patch: Patch, steps: int) -> DrawnFace:
        """Takes the latents so many steps towards a lighter patch, or a darker one if steps is negative."""
        rate = LIGHT_RATE * (1 + patch.width) * (LOCAL_LIGHT if self.local else 1.0) * (1 if steps > 0 else -1)
        for _ in range(abs(steps)):
            leaf, picture = drawing.path()
            drawing = self._moved(drawing, leaf, rate * patch.of(picture).mean(), 0.0)
        return drawing

    def _moved(self, drawing: DrawnFace, leaf: Tensor, value: Tensor, prior: float) -> DrawnFace:
        """Takes the latents up the slope of a value."""
        (slope,) = torch.autograd.grad(value, leaf, retain_graph=True)
        if self.local:
            slope = slope @ drawing.inverse_metric(SOFTNESS)
        drawing.forget()
        return DrawnFace(drawing.network, checked((1.0 - prior) * leaf.detach() + slope))


def checked(z: Tensor) -> Tensor:
    """Latents within their bounds. Raises EditError for values that are not finite."""
    if not bool(torch.isfinite(z).all()):
        raise EditError("the latents are lost (not finite): the last picture stays; reset, or undo")
    return z.clamp(-BOUND, BOUND)


def as_array(picture: Tensor) -> np.ndarray:
    """(1, 3, H, W) as float32 (H, W, 3)."""
    return np.ascontiguousarray(picture[0].permute(1, 2, 0).numpy())

"""Photo and frame: which turned square of a photo is the 64x64 frame, and how a filled frame goes back into it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageChops

from .. import masks
from ..errors import PhotoError
from ..pixels import FRAME, to_bytes
from . import blending
from .reading import to_photo

SMALLEST, LARGEST = 8, 20_000  # side of a frame, in photo pixels
TINY = 1e-4  # frame pixels by which a point may miss the pixel that it lies on the edge of; single precision loses less


@dataclass(frozen=True)
class Placement:
    """Where the frame lies in a photo: the similarity that takes frame pixels to photo pixels.

    x, y: the frame's centre, size: its side, all in photo pixels, where (0, 0) is the photo's upper left corner and
    (0.5, 0.5) the centre of its first pixel; angle: degrees, clockwise. The frame may reach beyond the photo.
    Raises PhotoError for numbers that are none, or for a size out of range.
    """

    x: float
    y: float
    size: float
    angle: float = 0.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(number) for number in (self.x, self.y, self.size, self.angle)):
            raise PhotoError(f"a place in the photo needs numbers, got {self.x}, {self.y}, {self.size}, {self.angle}")
        if not SMALLEST <= self.size <= LARGEST:
            raise PhotoError(f"a frame of {self.size:g} photo pixels is out of range: {SMALLEST} to {LARGEST}")

    @staticmethod
    def centred(size: tuple[int, int]) -> Placement:
        """The largest upright square in the middle of a photo of this (width, height)."""
        width, height = size
        side = min(width, height)
        return Placement((width - side) // 2 + side / 2, (height - side) // 2 + side / 2, side)

    @staticmethod
    def from_numbers(text: str) -> Placement:
        """A placement by hand, from ``X,Y,SIZE`` or ``X,Y,SIZE,ANGLE``. Raises PhotoError for anything else."""
        try:
            numbers = [float(word) for word in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) not in (3, 4):
            raise PhotoError(f"{text!r} is no place in a photo: need X,Y,SIZE or X,Y,SIZE,ANGLE, as in 120,80.5,96,-10")
        return Placement(*numbers)

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3): takes a point of the frame (x, y, 1) to the photo."""
        step, turn = self.size / FRAME, math.radians(self.angle)
        a, b, half = step * math.cos(turn), step * math.sin(turn), FRAME / 2
        return np.array([[a, -b, self.x - a * half + b * half], [b, a, self.y - b * half - a * half]])

    @property
    def inverse(self) -> np.ndarray:
        """(2, 3): takes a point of the photo (x, y, 1) to the frame."""
        matrix = self.matrix
        back = np.linalg.inv(matrix[:, :2])
        return np.column_stack((back, -back @ matrix[:, 2]))

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the frame, x and y from 0 to 64, in the photo."""
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_frame(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the photo, x and y in photo pixels, in the frame."""
        inverse = self.inverse
        return points @ inverse[:, :2].T + inverse[:, 2]

    @property
    def corners(self) -> tuple[tuple[float, float], ...]:
        """The frame's corners in the photo: upper left, upper right, lower right, lower left of the face."""
        corners = self.to_photo(np.array([[0, 0], [FRAME, 0], [FRAME, FRAME], [0, FRAME]], dtype=float))
        return tuple((round(float(x), 3), round(float(y), 3)) for x, y in corners)

    @property
    def exact(self) -> bool:
        """Whether frame pixels are photo pixels, so that nothing is resampled on the way."""
        left, top = self.x - FRAME / 2, self.y - FRAME / 2
        return self.size == FRAME and self.angle == 0 and left == int(left) and top == int(top)

    def moved(self, dx: float, dy: float, scale: float, angle: float) -> Placement:
        """This placement corrected: centre shifted by so many frame pixels, side times scale, turned by degrees."""
        x, y = self.to_photo(np.array([FRAME / 2 + dx, FRAME / 2 + dy]))
        return Placement(float(x), float(y), self.size * scale, self.angle + angle)

    def frame(self, photo: Image.Image, side: int = FRAME) -> Image.Image:
        """The RGB frame of so many pixels a side, each the mean of the photo below it; beyond the photo its edge goes
        on.

        Raises PhotoError for a frame whose centre lies outside the photo.
        """
        photo = to_photo(photo)
        box = self._part(photo.size, side)
        return Image.fromarray(self._sampled(photo.crop(box), box, side))

    def context(self, photo: Image.Image, mask: np.ndarray, side: int) -> np.ndarray:
        """The frame of the photo's observed pixels alone, mask (height, width), True = keep: uint8 (side, side, 3).

        Like `frame`, but nothing of the hole, not even a share in the pixels beside it, gets in; 0 well inside it.
        Raises as `frame`.
        """
        box = self._part(photo.size, side)
        left, top, right, bottom = box
        part = mask[top:bottom, left:right]
        keep, kept = Image.fromarray(part.view(np.uint8) * np.uint8(255)), photo.crop(box)
        if hole := hole_box(part):
            kept.paste((0, 0, 0), hole, ImageChops.invert(keep.crop(hole)))
        shares = self._sampled(keep, box, side).astype(np.float32)[..., None] / 255.0
        colours = self._sampled(kept, box, side).astype(np.float32)
        return np.where(shares > 0.05, np.rint(np.clip(colours / np.maximum(shares, 0.05), 0, 255)), 0).astype(np.uint8)

    def _reduction(self, side: int) -> int:
        """How many photo pixels a side are averaged before the frame's pixels are looked up."""
        return max(1, int(self.size / side / 2))

    def _part(self, size: tuple[int, int], side: int) -> tuple[int, int, int, int]:
        """The part of a photo of this size that a frame of so many pixels a side is made of."""
        return self._bounds(size, 2 * self._reduction(side))

    def _sampled(self, part: Image.Image, box: tuple[int, int, int, int], side: int) -> np.ndarray:
        """The pixels of `frame`, of a photo's part of any number of channels that lies at `box`."""
        reduction = self._reduction(side)
        samples = max(1, math.ceil(self.size / side / reduction))
        matrix = self.matrix
        matrix[:, 2] -= box[:2]
        reduced = np.asarray(part.reduce(reduction))
        pixels = warp(reduced, matrix / reduction, (side * samples, side * samples), samples * side / FRAME)
        return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA) if samples > 1 else pixels

    def meets(self, size: tuple[int, int]) -> bool:
        """Whether the frame's centre lies in a photo of this (width, height)."""
        return 0 <= self.x < size[0] and 0 <= self.y < size[1]

    def _bounds(
        self, size: tuple[int, int], margin: int, box: tuple[int, int, int, int] = (0, 0, FRAME, FRAME)
    ) -> tuple[int, int, int, int]:
        """The part of a photo of this size that a box of the frame needs: left, top, right, bottom."""
        x, y, end_x, end_y = box
        corners = self.to_photo(np.array([[x, y], [end_x, y], [end_x, end_y], [x, end_y]], dtype=float))
        xs, ys = np.round(corners, 3).T.tolist()
        left, right = (int(np.clip(edge, 0, size[0])) for edge in (min(xs) - margin, max(xs) + margin + 1))
        top, bottom = (int(np.clip(edge, 0, size[1])) for edge in (min(ys) - margin, max(ys) + margin + 1))
        if not self.meets(size):
            raise PhotoError(f"the frame at {self} has its centre outside the photo, which is {size[0]}x{size[1]}")
        return left, top, right, bottom

    def __str__(self) -> str:
        return ",".join(f"{number:.6g}" for number in (self.x, self.y, self.size, self.angle))

    def frame_mask(self, mask: np.ndarray, side: int = FRAME) -> np.ndarray:
        """A photo's mask (height, width), True = keep, in the frame of so many pixels a side: a frame pixel is hole
        where any of it is hole.

        Raises PhotoError when the hole reaches outside the frame, or there is none.
        """
        mask = masks.to_mask(mask)
        box = hole_box(mask)
        if box is None:
            raise PhotoError("the mask has no hole: paint the part to fill in black, leave the rest white")
        left, top, right, bottom = box
        hole = ~mask[top:bottom, left:right]
        rows = np.flatnonzero(hole.any(1))
        first, last = hole[rows].argmax(1), hole.shape[1] - 1 - hole[rows, ::-1].argmax(1)  # the rest lies between
        ends = np.column_stack((np.concatenate((first, last)) + left, np.tile(rows, 2) + top)) + 0.5
        points = self.to_frame(ends)
        if points.min() < -2 * TINY or points.max() >= FRAME:
            raise PhotoError(
                f"the hole reaches outside the square of the photo that is filled in, which is at {self} "
                "(x, y of its centre, its side, its angle)"
            )
        columns, rows = self._frame_pixels(box, side)
        small = np.zeros((side, side), dtype=bool)
        small[rows[hole].clip(0, side - 1), columns[hole].clip(0, side - 1)] = True
        if self.size < 1.5 * side:  # a frame pixel may hold no photo pixel's centre
            small |= self._at_frame_pixels(~mask, side)
        return ~small

    def frame_points(self, box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Where in the frame, in its 64ths, the centres of a part of the photo's pixels lie: x and y, both (h, w)."""
        left, top, right, bottom = box
        x, y = np.arange(left, right) + 0.5, np.arange(top, bottom)[:, None] + 0.5
        across, below = (
            (along * x).astype(np.float32) + (down * y + start + TINY).astype(np.float32)
            for along, down, start in self.inverse
        )
        return across, below

    def _frame_pixels(self, box: tuple[int, int, int, int], side: int = FRAME) -> tuple[np.ndarray, np.ndarray]:
        """Column and row of the frame (h, w) that the pixels of a part of the photo have their centres in."""
        columns, rows = (np.floor(along * np.float32(side / FRAME)) for along in self.frame_points(box))
        return columns.astype(np.int16), rows.astype(np.int16)

    def _at_frame_pixels(self, hole: np.ndarray, side: int) -> np.ndarray:
        """A photo's hole, looked up at the centre of every frame pixel: boolean (side, side)."""
        centres = (np.stack(np.meshgrid(np.arange(side), np.arange(side)), 2) + 0.5) * (FRAME / side)  # x, y
        x, y = np.moveaxis(np.floor(self.to_photo(centres)).astype(int), 2, 0)
        inside = (x >= 0) & (x < hole.shape[1]) & (y >= 0) & (y < hole.shape[0])
        return inside & hole[y.clip(0, hole.shape[0] - 1), x.clip(0, hole.shape[1] - 1)]

    def photo_mask(self, mask: np.ndarray | str, size: tuple[int, int]) -> np.ndarray:
        """A frame's mask (64, 64) in a photo of this (width, height): boolean (height, width), True = keep.

        mask: or the name of a family (see `masks.family`); those with a rounded shape are as smooth as the photo.
        """
        photo = np.ones((size[1], size[0]), dtype=bool)
        shape = masks.SHAPES.get(mask) if isinstance(mask, str) and not self.exact else None
        mask = masks.family(mask) if isinstance(mask, str) else mask
        left, top, right, bottom = box = self._bounds(size, 1, hole_box(mask) or (0, 0, 0, 0))
        if shape:
            photo[top:bottom, left:right] = ~shape.contains(*self.frame_points(box))
            return photo
        columns, rows = self._frame_pixels(box)
        inside = (columns >= 0) & (columns < FRAME) & (rows >= 0) & (rows < FRAME)
        photo[top:bottom, left:right] = mask[rows.clip(0, FRAME - 1), columns.clip(0, FRAME - 1)] | ~inside
        return photo

    def paste(self, photo: Image.Image, mask: np.ndarray, frame: Image.Image, blend: bool = True) -> Image.Image:
        """The photo with the frame's pixels in the hole of `mask` (height, width), every other pixel its own.

        frame: the filled frame, of 64 pixels a side, or of more once it is refined. blend: fit colour and grain to what
        is around the hole (see `blending.blend`), unless the placement is exact. Raises as `frame_mask`.
        """
        photo, mask, frame, side = to_photo(photo), masks.to_mask(mask), to_photo(frame), frame.width
        small, step = ~self.frame_mask(mask, side), self.size / side
        left, top, right, bottom = hole_box(mask)  # type: ignore[misc]  # there is a hole
        blend = blend and not self.exact
        room = blending.margin(step) if blend else 0
        left, top = max(0, left - room), max(0, top - room)
        right, bottom = min(photo.width, right + room), min(photo.height, bottom + room)
        region, hole = np.asarray(photo.crop((left, top, right, bottom))), ~mask[top:bottom, left:right]
        fill: np.ndarray = np.asarray(frame).astype(np.float32)
        if blend:
            fill = blending.extend(fill, small)
        if step < 1.0:
            fill = cv2.GaussianBlur(fill, (0, 0), 0.5 / step)
        matrix = self.inverse
        matrix[:, 2] += matrix[:, :2] @ (left, top)
        fill = warp(fill, matrix * (side / FRAME), hole.shape)
        if blend:
            pixels = blending.blend(region, hole, fill, step, refined=side > FRAME)
        else:
            pixels = np.where(hole[..., None], to_bytes(fill), region)
        result = photo.copy()
        result.paste(Image.fromarray(pixels), (left, top))
        return result


def hole_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The box around the hole of a mask, True = keep: left, top, right, bottom; None where there is no hole."""
    rows, columns = np.flatnonzero(~mask.all(1)), np.flatnonzero(~mask.all(0))
    return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if len(rows) else None


def pixel_matrix(matrix: np.ndarray, samples: float = 1) -> np.ndarray:
    """A (2, 3) matrix between points as one between pixel indices, whose pixels' centres lie at halves.

    samples: how many target pixels go to one unit of the matrix.
    """
    centre = matrix[:, :2] @ (0.5 / samples, 0.5 / samples) + matrix[:, 2] - 0.5
    return np.column_stack((matrix[:, :2] / samples, centre))


def warp(pixels: np.ndarray, matrix: np.ndarray, shape: tuple[int, ...], samples: float = 1) -> np.ndarray:
    """A picture (h, w, 3) of this (height, width) whose points lie at matrix @ (x, y, 1) in `pixels`; edges go on."""
    return cv2.warpAffine(
        pixels,
        pixel_matrix(matrix, samples),
        (shape[1], shape[0]),
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )

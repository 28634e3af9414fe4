"""What a visitor's fill or comparison has brought: its samples, in which order, and as pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from ..complete import Finish, Subject
from ..photo.sheets import GIF_SIDE, STRIP_SIDE, Film, Tile, masked_picture, memory_of
from .photo import Photo

FIRST = {"bits per dim": "likeliest", "loss": "best match"}  # figures, and what the sample with the lowest is


@dataclass(frozen=True)
class Display:
    """How a visitor wants to see results: small pictures crisp or smooth; in the photo, refined or not, or 64x64."""

    crisp: bool
    in_photo: bool
    refine: bool = True


@dataclass(frozen=True)
class Sample:
    """One way to fill the hole, as far as it has come.

    method: the label; film: 64x64 pictures of how it came about; beside: other 64x64 pictures that the method shows, by
    name; figures: what it optimised or how likely it holds the fill to be, by name; seconds:
    how long the method took for all its samples; flaw: why it ended before it was complete; settings: controls and
    options of this one; closeness, large: see `comparing`, which fills them in for a comparison.
    """

    method: str
    seed: int
    film: Film
    beside: Mapping[str, Image.Image] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    flaw: str = ""
    settings: Mapping[str, float] = field(default_factory=dict)
    closeness: Mapping[str, float] = field(default_factory=dict)
    large: dict[bool, str] = field(default_factory=dict)  # refined or not -> a data URL

    @property
    def picture(self) -> Image.Image:
        """The fill."""
        return self.film.last


@dataclass(frozen=True)
class Result:
    """What a fill, or a comparison of methods, has brought so far.

    photo, subject: what was filled, the subject being of the photo's view; edit: the browser's number of that hole;
    compared: whether each sample is another method's; method: the name of the only one. settings: controls and options
    as they were moved, and link: the query of an address that asks for the fill again, "" where no link can.
    """

    photo: Photo
    subject: Subject
    samples: tuple[Sample, ...]
    progress: float
    compared: bool = False
    chosen: int = 0
    link: str = ""
    edit: int = 0
    settings: Mapping[str, float] = field(default_factory=dict)
    method: str = ""

    @property
    def figure(self) -> str | None:
        """Which figure says what sample is likeliest, or the best match."""
        return None if self.compared else next((name for name in self.samples[0].figures if name in FIRST), None)

    @property
    def order(self) -> list[int]:
        """The samples by that figure, the likeliest first."""
        ranks = [sample.figures.get(self.figure or "", 0.0) for sample in self.samples]
        return sorted(range(len(ranks)), key=ranks.__getitem__)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Each sample's."""
        return tuple(sample.seed for sample in self.samples)

    @property
    def mark(self) -> str:
        """Of its photo and hole, as `painter.mark` has it."""
        return f"{self.photo.key} {self.edit}"

    @property
    def finished(self) -> bool:
        """Whether every sample is as it stays."""
        return self.progress >= 1.0

    @property
    def cost(self) -> int:
        """Bytes in memory, the photo's aside."""
        pictures = [picture for sample in self.samples for picture in sample.beside.values()]
        return self.subject.mask.size + sum(sample.film.cost for sample in self.samples) + sum(map(memory_of, pictures))

    def title(self, index: int) -> str:
        """What tells this sample from the others."""
        return self.samples[index].method if self.compared else f"No. {self.order.index(index) + 1}"

    def full(self, refine: bool) -> Image.Image:
        """The chosen sample in the photo, at the photo's own size; every pixel outside the hole is the photo's own."""
        subject = self.photo.at_full_size(self.subject)
        return subject.finished(self.samples[self.chosen].picture, Finish(refine=refine))

    def box(self) -> tuple[int, int, int, int]:
        """The part of the view that holds the hole: left, top, right, bottom."""
        rows, columns = (np.flatnonzero(~self.subject.mask.all(axis)) for axis in (1, 0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    def masked(self, crisp: bool, side: int) -> Image.Image:
        """What was filled, with stripes over the hole."""
        return masked_picture(self.subject.frame, self.subject.frame_mask, crisp, side)

    def strip_tiles(self, crisp: bool) -> list[Tile]:
        """The input, the input with its hole, and the samples."""
        return [Tile("Input", (self.photo.frame,)), *self._tiles(crisp, STRIP_SIDE)]

    def animation_tiles(self, crisp: bool) -> list[Tile]:
        """The input with its hole, and how the samples came about."""
        return self._tiles(crisp, GIF_SIDE)

    def _tiles(self, crisp: bool, side: int) -> list[Tile]:
        tiles = [Tile("With the hole", (self.masked(crisp, side),))]
        for sample in self.samples:
            title = sample.method if self.compared else f"{sample.method}, seed {sample.seed}"
            tiles.append(Tile(title, sample.film.frames(), tuple(captions(self, sample))))
        return tiles


def number(value: float) -> str:
    """A figure as it is shown."""
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def in_seconds(seconds: float, digits: int = 2) -> str:
    """A time as it is shown."""
    return f"{seconds:.{digits}f} s" if seconds >= 0.01 else "under 0.01 s"


def captions(result: Result, sample: Sample) -> list[str]:
    """What is to be said below a sample: seconds, what went wrong. Figures of different methods measure different
    things, so they do not stand side by side."""
    lines = []
    if sample.seconds is not None and (result.compared or len(result.samples) == 1):
        lines.append(in_seconds(sample.seconds))
    return [*lines, sample.flaw] if sample.flaw else lines

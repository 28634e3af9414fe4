"""Labelled pictures: sheets of what controls do, strips side by side, and animations of how fills came about."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..pixels import to_pictures

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 128  # of a picture on a sheet, in pixels
GAP, TEXT = 6, 14  # between pictures, and the height of letters
PAPER, INK, FAINT = (255, 255, 255), (24, 24, 27), (82, 82, 91)
STRIP_SIDE, GIF_SIDE = 256, 192  # of a tile, in pixels
MAX_COLUMNS = 6
MAX_FRAMES = 40
FRAME_MILLISECONDS, LAST_MILLISECONDS = 100, 2500
STRIPES = 32  # across a masked picture
HOLE_COLOURS = ((228, 228, 231), (199, 199, 207))
PALETTE_COLOURS = 240  # of the 256 of a GIF; the others are the greys of paper and text


def sheet(
    rows: Sequence[Sequence[Image.Image]], row_labels: Sequence[str], captions: Sequence[Sequence[str]], title: str = ""
) -> Image.Image:
    """Pictures in rows of one length, each row's label to its left, each picture's caption below it."""
    font = ImageFont.load_default(size=TEXT)
    labels = [label.split("\n") for label in row_labels]
    margin = 2 * GAP + round(max((font.getlength(line) for label in labels for line in label), default=0.0))
    head = 2 * TEXT if title else GAP
    across, down = SIDE + GAP, SIDE + GAP + round(1.5 * TEXT)
    paper = Image.new("RGB", (margin + across * len(rows[0]), head + down * len(rows)), PAPER)
    draw = ImageDraw.Draw(paper)
    draw.text((GAP, GAP), title, INK, font)
    for number, (row, label, texts) in enumerate(zip(rows, labels, captions, strict=True)):
        top = head + down * number
        draw.multiline_text((GAP, top + SIDE // 2), "\n".join(label), INK, font, anchor="lm")
        for place, (picture, text) in enumerate(zip(row, texts, strict=True)):
            left = margin + across * place
            paper.paste(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), (left, top))
            draw.text((left + SIDE // 2, top + SIDE + GAP // 2), text, INK, font, anchor="ma")
    return paper


def photo_sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures of one size in rows of one length, several rows beside each other, so that the sheet is about square."""
    (width, height), length = rows[0][0].size, len(rows[0])
    across, down = length * width + GAP, height + GAP
    beside = max(1, round(math.sqrt(len(rows) * down / across)))
    paper = Image.new("RGB", (beside * across - GAP, -(-len(rows) // beside) * down - GAP), PAPER)
    for number, row in enumerate(rows):
        for place, picture in enumerate(row):
            paper.paste(picture, (number % beside * across + place * width, number // beside * down))
    return paper


def contact_sheet(rows: Tensor) -> Image.Image:
    """Pictures (rows, columns, 3, H, W), twice enlarged: masked, true, then the samples."""
    from torch.nn import functional

    grid = functional.pad(rows, (1, 1, 1, 1), value=1.0)
    picture = to_pictures(grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)[None])[0]
    return picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)


def enlarge(picture: Image.Image, crisp: bool, side: int) -> Image.Image:
    """The picture at this many pixels a side: every pixel a square when crisp, bicubic otherwise."""
    return picture.resize((side, side), Image.Resampling.NEAREST if crisp else Image.Resampling.BICUBIC)


def masked_picture(frame: Image.Image, mask: np.ndarray, crisp: bool, side: int) -> Image.Image:
    """The enlarged frame with stripes over the hole; mask: boolean (64, 64), True = observed."""
    scale = side // mask.shape[0]
    return striped(enlarge(frame, crisp, side), mask.repeat(scale, 0).repeat(scale, 1))


def striped(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    """A square picture with stripes over the hole of a mask of its size, True = observed."""
    rows, columns = np.indices(mask.shape)
    stripes = np.array(HOLE_COLOURS, dtype=np.uint8)[(rows + columns) * STRIPES // len(mask) % 2]
    return Image.fromarray(np.where(mask[..., None], np.asarray(picture), stripes))


@dataclass(frozen=True)
class Tile:
    """A labelled picture. frames: square pictures of how it came about, the last being what it is now."""

    title: str
    frames: tuple[Image.Image, ...]
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Film:
    """Pictures of how a sample came about, small in memory: most pixels never change, since they are the photo's.

    changes: each picture's bytes XOR those of the one before, compressed; last: the sample as it is now; ended: whether
    it is the last of the changes, too.
    """

    changes: tuple[bytes, ...]
    last: Image.Image
    ended: bool

    @property
    def cost(self) -> int:
        """Bytes in memory."""
        return sum(map(len, self.changes)) + memory_of(self.last)

    def frames(self) -> tuple[Image.Image, ...]:
        """The pictures, in order."""
        pixels = np.zeros_like(np.asarray(self.last))
        frames = []
        for change in self.changes:
            pixels = pixels ^ np.frombuffer(zlib.decompress(change), np.uint8).reshape(pixels.shape)
            frames.append(Image.fromarray(pixels))
        return tuple(frames) if self.ended else (*frames, self.last)


class Reel:
    """Pictures of a completion as it goes on: at most MAX_FRAMES, evenly over its progress, the latest always."""

    def __init__(self) -> None:
        self._changes: list[tuple[bytes, ...]] = []  # of each moment that is kept, for each sample
        self._kept: Sequence[Image.Image] = ()
        self._latest: Sequence[Image.Image] = ()
        self._due = 0

    def add(self, pictures: Sequence[Image.Image], progress: float) -> None:
        """The samples' pictures at this progress, from 0 to 1."""
        place = int(progress * (MAX_FRAMES - 2))
        self._latest = pictures
        if place >= self._due:
            pixels = [np.asarray(picture) for picture in pictures]
            before = map(np.asarray, self._kept) if self._kept else map(np.zeros_like, pixels)
            pairs = zip(before, pixels, strict=True)
            self._changes.append(tuple(zlib.compress((old ^ new).tobytes(), 1) for old, new in pairs))
            self._kept, self._due = pictures, place + 1

    def film(self, sample: int) -> Film:
        """The pictures of one sample."""
        changes = tuple(moment[sample] for moment in self._changes)
        return Film(changes, self._latest[sample], self._kept is self._latest)


def memory_of(picture: Image.Image) -> int:
    """Bytes of an RGB picture in memory, where Pillow gives a pixel four."""
    return 4 * picture.width * picture.height


def strip(tiles: Sequence[Tile], crisp: bool) -> Image.Image:
    """The tiles as they are now, side by side on white, in rows of at most MAX_COLUMNS."""
    return _Board(tiles, STRIP_SIDE).draw(-1, crisp)


def animation(tiles: Sequence[Tile], crisp: bool) -> bytes:
    """A GIF of the tiles' frames side by side, all from their first; who is done holds still. It loops."""
    board = _Board(tiles, GIF_SIDE)
    palette = _palette(tiles)
    count = max(len(tile.frames) for tile in tiles)
    first, *others = (
        board.draw(moment, crisp).quantize(palette=palette, dither=Image.Dither.NONE) for moment in range(count)
    )
    durations = [FRAME_MILLISECONDS] * (count - 1) + [LAST_MILLISECONDS]
    buffer = BytesIO()
    first.save(buffer, "GIF", save_all=True, append_images=others, duration=durations, loop=0, optimize=False)
    return buffer.getvalue()


def shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, or as much of its beginning as fits the width, with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text.rstrip()}…"


class _Board:
    """Where the tiles lie, and their text: what all frames of an animation have in common."""

    def __init__(self, tiles: Sequence[Tile], side: int):
        self.tiles, self.side = tiles, side
        self.gap, size = side // 16, side // 14
        fonts = (_font(size), _font(size - 3))
        heights = [round(1.4 * font.getbbox("Ag")[3]) for font in fonts]
        text = heights[0] + max(len(tile.lines) for tile in tiles) * heights[1]
        rows = -(-len(tiles) // MAX_COLUMNS)
        columns = -(-len(tiles) // rows)
        across, down = side + self.gap, side + self.gap // 2 + text + self.gap
        self.corners = [
            (self.gap + index % columns * across, self.gap + index // columns * down) for index in range(len(tiles))
        ]
        self.paper = Image.new("RGB", (self.gap + columns * across, self.gap + rows * down), PAPER)
        draw = ImageDraw.Draw(self.paper)
        for tile, (left, top) in zip(tiles, self.corners, strict=True):
            top += side + self.gap // 2
            draw.text((left, top), shorten(tile.title, fonts[0], side), INK, fonts[0])
            for number, line in enumerate(tile.lines):
                place = (left, top + heights[0] + number * heights[1])
                draw.text(place, shorten(line, fonts[1], side), FAINT, fonts[1])

    def draw(self, moment: int, crisp: bool) -> Image.Image:
        """The board with every tile's frame of this moment, its last one where there are fewer; -1: the last."""
        board = self.paper.copy()
        for tile, corner in zip(self.tiles, self.corners, strict=True):
            frame = tile.frames[min(moment, len(tile.frames) - 1)]
            board.paste(enlarge(frame, crisp, self.side), corner)
        return board


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def _palette(tiles: Sequence[Tile]) -> Image.Image:
    """One palette for all frames, so that what does not move does not flicker."""
    frames = {id(frame): frame for tile in tiles for frame in tile.frames}.values()
    pixels = np.concatenate([np.asarray(frame.convert("RGB")).reshape(-1, 3) for frame in frames])
    quantised = Image.fromarray(pixels[None]).quantize(PALETTE_COLOURS, Image.Quantize.MEDIANCUT)
    colours = (quantised.getpalette() or [])[: 3 * PALETTE_COLOURS]
    greys = np.linspace(PAPER, INK, 256 - len(colours) // 3).round().astype(int).ravel().tolist()
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colours, *greys])
    return palette

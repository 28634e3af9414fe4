"""Sheets of pictures with labels, for what controls do: traversals (CSI, figure 6) and pairs of controls (figure 4)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from .pixels import png, to_pictures
from .weights import write_atomically

SIDE = 128  # of a picture, in pixels
GAP, TEXT = 6, 14  # between pictures, and the height of letters
PAPER, INK = (255, 255, 255), (24, 24, 27)


def sheet(
    rows: Sequence[Sequence[Image.Image]],
    row_labels: Sequence[str],
    captions: Sequence[Sequence[str]],
    title: str = "",
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


def write_contact_sheet(rows: Tensor, file: Path) -> None:
    """Writes pictures (rows, columns, 3, H, W) as one PNG, twice enlarged: masked, true, then the samples."""
    grid = functional.pad(rows, (1, 1, 1, 1), value=1.0)
    picture = to_pictures(grid.permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)[None])[0]
    write_atomically(file, png(picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.NEAREST)))

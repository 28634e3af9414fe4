"""`strip`: a photo, its hole, some fills, and one with a control moved, side by side."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ..complete import Request
from ..photo.placement import Placement
from ..photo.reading import read_file
from ..photo.sheets import STRIP_SIDE, Tile, strip, striped
from ..pixels import png
from .common import settings_of, write_file
from .complete import add_settings, read_recipe


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    command = commands.add_parser("strip", help="a photo, its hole and fills as one labelled picture")
    command.add_argument("photo", type=Path)
    add_settings(command)
    command.add_argument(
        "--move", action="append", default=[], metavar="CONTROL=VALUE", help="one more fill, of the first seed, with it"
    )
    command.add_argument("--out", type=Path, required=True, help="a PNG")
    command.set_defaults(run=_strip, samples=3)


def _strip(options: argparse.Namespace) -> None:
    photo = read_file(options.photo)
    recipe, method = read_recipe(options)
    moves, labels = settings_of(options.move), {control.name: control.label for control in method.controls}
    method.check_controls(moves)
    request = recipe.request(photo, options.photo.name, method)
    subject = request.subject
    tiles = [Tile("Photo", (_square(subject.photo, subject.placement),))]
    hole = _square(Image.fromarray(subject.mask).convert("RGB"), subject.placement)
    tiles.append(Tile("Hole", (striped(tiles[0].frames[0], np.asarray(hole)[..., 0] > 127),)))
    tiles += _tiles(request, [f"Seed {seed}" for seed in request.seeds])
    for name, value in moves.items():
        moved = replace(request, seeds=request.seeds[:1], controls={**request.controls, name: value})
        tiles += _tiles(moved, [f"{labels[name]} {value:+g}"])
    write_file(png(strip(tiles, crisp=False)), options.out)


def _tiles(request: Request, titles: list[str]) -> list[Tile]:
    """The samples of a request, finished."""
    finished = (request.finished(fill) for fill in request.last_step().pictures)
    placement = request.subject.placement
    return [Tile(title, (_square(photo, placement),)) for title, photo in zip(titles, finished, strict=True)]


def _square(photo: Image.Image, placement: Placement) -> Image.Image:
    """The part of a photo around its frame, upright."""
    half = placement.size / 2
    box = (placement.x - half, placement.y - half, placement.x + half, placement.y + half)
    return photo.transform((STRIP_SIDE, STRIP_SIDE), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC)

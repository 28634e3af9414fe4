"""`edit`: the photo editor's brush."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from ..photo.placement import Placement
from ..photo.reading import open_photo, read_file
from ..pixels import png
from .common import settings_of, write_file


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    edit = commands.add_parser("edit", help="paint on a face with a model: dark on the forehead becomes hair")
    edit.add_argument("photo", type=Path)
    for name, coloured, form, text in (
        ("--paint", True, "X,Y,SIZE,#RRGGBB[,STEPS]", "a square of this side around a point, in photo pixels"),
        ("--lighten", False, "X,Y,SIZE[,STEPS]", "likewise; darkens where STEPS is below 0"),
    ):
        edit.add_argument(
            name,
            action="append",
            default=[],
            dest="strokes",
            type=lambda words, coloured=coloured: (words, coloured),
            metavar=form,
            help=f"{text}; once for every stroke",
        )
    edit.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="a latent, z0 and so on, or a named one; before the strokes",
    )
    edit.add_argument("--sample", type=int, metavar="SEED", help="a face drawn from the model in the photo's place")
    edit.add_argument("--face", type=int, metavar="N", help="edit the N-th face found, the largest being 1")
    edit.add_argument("--place", metavar="X,Y,SIZE[,ANGLE]", help="the square by hand: its centre, side and turn")
    edit.add_argument("--strength", type=float, default=2.0, help="how much of an edit shows; 2, as published 1")
    edit.add_argument("--plain", action="store_true", help="the published brush, whose paint changes the whole face")
    edit.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    edit.set_defaults(run=_edit)


def _edit(options: argparse.Namespace) -> None:
    if options.face is not None and options.place is not None:
        raise UsageError("--face and --place exclude each other: each says where the square is")
    if not options.strokes and not options.settings and options.sample is None:
        raise UsageError("nothing to do: say --paint, --lighten, --set or --sample")
    if options.out.suffix.lower() != ".png":
        raise UsageError(f"--out {options.out}: the result is a PNG file")
    from ..editing import Brush, edit_photo
    from ..editing.strokes import from_text

    edited = edit_photo(
        open_photo(read_file(options.photo), options.photo.name),
        [from_text(text, coloured=coloured) for text, coloured in options.strokes],
        latents=settings_of(options.settings),
        sample=options.sample,
        face=options.face,
        placement=None if options.place is None else Placement.from_numbers(options.place),
        brush=Brush(local=not options.plain),
        strength=options.strength,
    )
    write_file(png(edited), options.out)

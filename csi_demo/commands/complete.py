"""`complete`: fills a hole in a photo."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from .. import masks, weights
from ..faces import FRAME, PhotoError, Placement, open_photo
from ..methods import ControlError, available_methods
from ..methods.base import Method
from .common import FAMILIES, UsageError, pairs


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    complete = commands.add_parser("complete", help="fill a hole in a photo")
    add_photo(complete)
    complete.add_argument("--method", default="csi", help=f"one of {', '.join(available_methods())}")
    complete.add_argument("--seed", type=int, default=0, help="of the first sample; sample k takes SEED + k")
    complete.add_argument("--samples", type=int, default=1)
    complete.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE", dest="settings")
    complete.add_argument("--no-blend", action="store_true", help="paste the fill as it is, without fitting it")
    complete.add_argument("--out", type=Path, required=True, help="a folder for sample-0.png … and run.json")
    complete.set_defaults(run=_complete)


def add_photo(command: argparse.ArgumentParser) -> None:
    """Adds what `read_subject` reads: a photo, its hole, and where its frame lies."""
    command.add_argument("photo", type=Path)
    command.add_argument(
        "--mask", required=True, help=f"a PNG of the photo's size (white = keep, black = hole), {FAMILIES}"
    )
    command.add_argument("--aligned", action="store_true", help=f"the photo is a {FRAME}x{FRAME} frame already")
    command.add_argument("--face", type=int, metavar="N", help="fill in the N-th face found, the largest being 1")
    command.add_argument(
        "--place", metavar="X,Y,SIZE[,ANGLE]", help="the frame by hand: its centre and side in photo pixels, degrees"
    )


def read_subject(options: argparse.Namespace) -> tuple[Image.Image, Placement, np.ndarray, np.ndarray]:
    """The photo, its frame's place, the mask in the photo and in the frame; see `complete.fit_mask`.

    Raises UsageError, PhotoError or MaskError.
    """
    from ..complete import fit_mask

    photo = open_photo(options.photo)
    if options.aligned and photo.size != (FRAME, FRAME):
        raise PhotoError(
            f"--aligned needs a {FRAME}x{FRAME} frame, {options.photo.name} is {photo.width}x{photo.height}"
        )
    given = _read_mask(options.mask, photo.size)
    placement = _place(options, photo)
    return photo, placement, *fit_mask(given, placement, photo.size)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ControlError(f"{name}={text} is not a number") from None


def _split_settings(method: Method, words: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Controls and options of a method among --set's pairs."""
    values = {name: _number(text, name) for name, text in pairs(words).items()}
    names = {option.name for option in method.options}
    return {k: v for k, v in values.items() if k not in names}, {k: v for k, v in values.items() if k in names}


def _complete(options: argparse.Namespace) -> None:
    from ..complete import complete_frame
    from ..methods import load_method

    if not 1 <= options.samples <= 64:
        raise UsageError(f"--samples {options.samples} is out of range: 1 to 64")
    if not 0 <= options.seed < 2**31:
        raise UsageError(f"--seed {options.seed} is out of range: 0 to {2**31 - 1}")
    method = load_method(options.method)
    photo, placement, mask, frame_mask = read_subject(options)
    controls, tuning = _split_settings(method, options.settings)
    seeds = range(options.seed, options.seed + options.samples)
    *_, last = complete_frame(placement.frame(photo), frame_mask, options.method, seeds, controls, tuning)
    run = {
        "command": options.line,
        "method": options.method,
        "mask": options.mask,
        "seeds": list(seeds),
        "controls": controls,
        "options": tuning,
        "placement": asdict(placement) | {"corners": placement.corners},
        "blend": not options.no_blend and not placement.exact,
        "info": last.info,
    }
    with tempfile.TemporaryDirectory(prefix="csi-") as scratch:
        for index, picture in enumerate(last.pictures):
            placement.paste(photo, mask, picture, not options.no_blend).save(Path(scratch) / f"sample-{index}.png")
        (Path(scratch) / "run.json").write_text(json.dumps(run, indent=1) + "\n")
        _move_files(Path(scratch), options.out)


def _place(options: argparse.Namespace, photo: Image.Image) -> Placement:
    from ..complete import place_frame

    ways = {"--aligned": options.aligned, "--face": options.face is not None, "--place": options.place is not None}
    given = [name for name, used in ways.items() if used]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: each says where the frame is")
    if options.place is not None:
        return Placement.from_numbers(options.place)
    return Placement.centred(photo.size) if options.aligned else place_frame(photo, options.face)


def _read_mask(name: str, size: tuple[int, int]) -> np.ndarray | str:
    """The mask in a file, or the name of a family."""
    if not Path(name).is_file():
        if Path(name).suffix.lower() in (".png", ".jpg", ".jpeg", ".webp"):
            raise masks.MaskError(f"no such mask file: {name}")
        masks.family(name)  # raises before anything long starts
        return name
    picture = open_photo(name)
    if picture.size != size:
        raise masks.MaskError(
            f"the mask {name} is {picture.width}x{picture.height}, the photo {size[0]}x{size[1]}: make them one size"
        )
    return masks.from_image(picture)


def _move_files(source: Path, target: Path) -> None:
    try:
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(source.iterdir()):
            weights.write_atomically(target / file.name, file.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot write to {target}: {error.strerror}") from None

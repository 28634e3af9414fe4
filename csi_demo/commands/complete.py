"""`complete`: fills a hole in a photo; and what `complete-many` shares with it."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from .. import masks, weights
from ..complete import Finish, Request, Subject, check_size
from ..errors import MaskError, PhotoError, UsageError
from ..files import write_all
from ..hints import FORM, Hint, as_hints
from ..methods import Method, available_methods, load_method
from ..photo.placement import Placement
from ..photo.reading import SUFFIXES, open_photo, open_picture, read_file
from ..pixels import FRAME, png
from .common import FAMILIES, settings_of

RUN = "run.json"


@dataclass(frozen=True)
class Recipe:
    """What the command line says about how photos are to be filled in, checked; painted: the pixels of a mask file."""

    command: str
    method: str
    mask: str
    painted: np.ndarray | None
    seeds: range
    controls: dict[str, float]
    options: dict[str, float]
    aligned: bool
    face: int | None
    place: Placement | None
    blend: bool
    refine: bool
    hints: tuple[Hint, ...]

    def fingerprint(self, photo: bytes) -> str:
        """SHA-256 of a photo's file and of everything that decides how it is filled in, the weights among it."""
        settings = {name: value for name, value in vars(self).items() if name not in ("command", "painted")}
        text = json.dumps(settings, default=str, sort_keys=True) + _weights_of(self.method)
        painted = b"" if self.painted is None else self.painted.tobytes()
        return hashlib.sha256(b"\0".join((text.encode(), painted, photo))).hexdigest()

    def subject(self, photo: bytes, name: str) -> Subject:
        """The hole in a photo's file. name: what errors call the photo. Raises PhotoError and MaskError."""
        picture = open_photo(photo, name)
        if self.aligned and picture.size != (FRAME, FRAME):
            raise PhotoError(f"--aligned needs a {FRAME}x{FRAME} frame, {name} is {picture.width}x{picture.height}")
        placement = Placement.centred(picture.size) if self.aligned else self.place
        return Subject.of(picture, self._mask(picture), face=self.face, placement=placement)

    def _mask(self, photo: Image.Image) -> np.ndarray | str:
        if self.painted is None:
            return self.mask
        check_size(self.painted, photo.size, f"the mask {self.mask}")
        return self.painted

    def request(self, photo: bytes, name: str, method: Method) -> Request:
        """The hole in a photo's file and how it is to be filled. Raises as `subject`."""
        subject = self.subject(photo, name)
        finish = Finish(self.blend, self.refine)
        return Request(subject, method, tuple(self.seeds), self.controls, self.options, finish, self.hints)


@cache
def _weights_of(method: str) -> str:
    return weights.fingerprint(method) if weights.available(method) else ""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    complete = commands.add_parser("complete", help="fill a hole in a photo")
    complete.add_argument("photo", type=Path)
    add_settings(complete)
    complete.add_argument("--out", type=Path, required=True, help=f"a folder for sample-0.png … and {RUN}")
    complete.add_argument("--json", action="store_true", help=f"print what {RUN} holds")
    complete.set_defaults(run=_complete)


def add_settings(command: argparse.ArgumentParser) -> None:
    """Adds what `read_recipe` reads."""
    add_hole(command)
    command.add_argument("--method", default="csi", help=f"one of {', '.join(available_methods())}")
    command.add_argument("--seed", type=int, default=0, help="of the first sample; sample k takes SEED + k")
    command.add_argument("--samples", type=int, default=1)
    command.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE", dest="settings")
    command.add_argument(
        "--hint", action="append", default=[], metavar=FORM, help="a dab of paint in the hole, in photo pixels"
    )
    command.add_argument(
        "--no-refine", action="store_true", help="leave the fill at 64x64, without redrawing it larger"
    )
    command.add_argument("--no-blend", action="store_true", help="paste the fill as it is, without fitting it")


def add_hole(command: argparse.ArgumentParser) -> None:
    """Adds what `find_hole` needs: where hole and frame are."""
    command.add_argument(
        "--mask", required=True, help=f"a PNG of the photo's size (white = keep, black = hole), {FAMILIES}"
    )
    command.add_argument("--aligned", action="store_true", help=f"the photo is a {FRAME}x{FRAME} frame already")
    command.add_argument("--face", type=int, metavar="N", help="fill in the N-th face found, the largest being 1")
    command.add_argument(
        "--place", metavar="X,Y,SIZE[,ANGLE]", help="the frame by hand: its centre and side in photo pixels, degrees"
    )


def read_recipe(options: argparse.Namespace) -> tuple[Recipe, Method]:
    """The arguments of `add_settings`, checked as far as they can be without a photo, and the method, loaded."""
    if not 1 <= options.samples <= 64:
        raise UsageError(f"--samples {options.samples} is out of range: 1 to 64")
    if not 0 <= options.seed < 2**31:
        raise UsageError(f"--seed {options.seed} is out of range: 0 to {2**31 - 1}")
    ways = {"--aligned": options.aligned, "--face": options.face is not None, "--place": options.place is not None}
    given = [name for name, used in ways.items() if used]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude each other: each says where the frame is")
    painted = _read_mask(options.mask)
    method = load_method(options.method)
    controls, tuning = method.split(settings_of(options.settings))
    method.check_controls(controls)
    method.check_options(tuning)
    recipe = Recipe(
        command=options.line,
        method=options.method,
        mask=options.mask,
        painted=painted,
        seeds=range(options.seed, options.seed + options.samples),
        controls=controls,
        options=tuning,
        aligned=options.aligned,
        face=options.face,
        place=None if options.place is None else Placement.from_numbers(options.place),
        blend=not options.no_blend,
        refine=not options.no_refine,
        hints=as_hints(options.hint),
    )
    return recipe, method


def _read_mask(name: str) -> np.ndarray | None:
    """The mask in a file, None for the name of a family."""
    if Path(name).is_file():
        return masks.from_image(open_picture(name))
    if Path(name).suffix.lower() in SUFFIXES:
        raise MaskError(f"no such mask file: {name}")
    masks.family(name)  # raises before anything long starts
    return None


def _complete(options: argparse.Namespace) -> None:
    photo = read_file(options.photo)
    recipe, method = read_recipe(options)
    files = result_files(photo, options.photo.name, recipe, method)
    write_files(files, options.out)
    if options.json:
        print(files[RUN].decode(), end="")


def result_files(photo: bytes, name: str, recipe: Recipe, method: Method) -> dict[str, bytes]:
    """Fills the hole of a photo's file; returns what there is to write, file name -> content, RUN last.

    name: what errors call the photo. Raises PhotoError, MaskError and CompletionError.
    """
    request = recipe.request(photo, name, method)
    last, placement = request.last_step(), request.subject.placement
    run = {
        "command": recipe.command,
        "method": recipe.method,
        "mask": recipe.mask,
        "seeds": list(recipe.seeds),
        "controls": recipe.controls,
        "options": recipe.options,
        "hints": [asdict(hint) for hint in recipe.hints],
        "placement": asdict(placement) | {"corners": placement.corners},
        "face_found": request.subject.face_found,
        "blend": recipe.blend and not placement.exact,
        "refine": request.subject.refines(request.finish),
        "info": last.info,
        "fingerprint": recipe.fingerprint(photo),
    }
    files = {sample_name(index): png(request.finished(fill)) for index, fill in enumerate(last.pictures)}
    return files | {RUN: (json.dumps(run, indent=1) + "\n").encode()}


def write_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Writes files into a folder, all of them or none, RUN last, in the place of what an earlier run left there.

    Of what else lies there, only samples go that the earlier RUN names. Raises UsageError where that cannot be done.
    """
    stale = _samples_of(folder) - files.keys()
    try:
        write_all(
            {folder / name: content for name, content in files.items()},
            before=lambda: (folder / RUN).unlink(missing_ok=True),  # it tells of files that are about to change
        )
        for old in stale:
            (folder / old).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write to {folder}: {error.strerror}") from None


def _samples_of(folder: Path) -> set[str]:
    """The samples that the RUN in a folder names; none without one."""
    try:
        seeds = json.loads((folder / RUN).read_bytes())["seeds"]
        return {sample_name(index) for index in range(len(seeds))}
    except (OSError, ValueError, LookupError, TypeError):
        return set()


def sample_name(index: int) -> str:
    """The file of a sample."""
    return f"sample-{index}.png"

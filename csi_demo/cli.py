"""The command line, `python -m csi_demo …`. Errors a user can cause end in one line on standard error and status 2."""

from __future__ import annotations

import argparse
import ast
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, fields
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import masks, weights
from .faces import FRAME, PhotoError, Placement, open_photo
from .methods import CompletionError, ControlError, UnknownMethodError, available_methods
from .methods.base import Method

MODELS = {  # name -> module:class under training
    "csi": "csi:CSIRecipe",
    "dcgan": "dcgan:DCGANRecipe",
    "vae": "vae:VAERecipe",
    "vae-oneshot": "vae:OneShotRecipe",
    "attributes": "attributes:AttributeRecipe",
    "aligner": "aligner:AlignerRecipe",
}


class UsageError(ValueError):
    """Arguments that do not make sense together; the message says what would be right."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(f"{message} (see {self.prog} --help)")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog="python -m csi_demo", description="Controllable Semantic Inpainting")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    family = f"{', '.join(masks.BOXES)}, random:SEED, or x0,y0,x1,y1 in frame pixels"

    complete = commands.add_parser("complete", help="fill a hole in a photo")
    complete.add_argument("photo", type=Path)
    complete.add_argument(
        "--mask", required=True, help=f"a PNG of the photo's size (white = keep, black = hole), {family}"
    )
    complete.add_argument("--method", default="csi", help=f"one of {', '.join(available_methods())}")
    complete.add_argument("--seed", type=int, default=0, help="of the first sample; sample k takes SEED + k")
    complete.add_argument("--samples", type=int, default=1)
    complete.add_argument("--set", action="append", default=[], metavar="CONTROL=VALUE", dest="settings")
    complete.add_argument("--aligned", action="store_true", help=f"the photo is a {FRAME}x{FRAME} frame already")
    complete.add_argument("--face", type=int, metavar="N", help="fill in the N-th face found, the largest being 1")
    complete.add_argument(
        "--place", metavar="X,Y,SIZE[,ANGLE]", help="the frame by hand: its centre and side in photo pixels, degrees"
    )
    complete.add_argument("--no-blend", action="store_true", help="paste the fill as it is, without fitting it")
    complete.add_argument("--out", type=Path, required=True, help="a folder for sample-0.png … and run.json")
    complete.set_defaults(run=_complete)

    evaluate = commands.add_parser("evaluate", help="figures on held-out frames, inside the hole only")
    evaluate.add_argument("--method", default="csi", help=f"one of {', '.join(available_methods())}")
    evaluate.add_argument("--data", type=Path, required=True, help="a Parquet pack of frames")
    evaluate.add_argument("--mask", required=True, help=f"random or strokes (a fresh one a picture), {family}")
    evaluate.add_argument("--limit", type=int)
    evaluate.add_argument("--seed", type=int, default=0)
    evaluate.add_argument("--json", type=Path)
    evaluate.add_argument("--contact-sheet", type=Path, help="a PNG of the first 16: masked, true, 4 samples")
    evaluate.add_argument("--record", action="store_true", help="write the figures into the weights' metrics.json")
    evaluate.set_defaults(run=_evaluate)

    alignment = commands.add_parser("evaluate-alignment", help="how exactly faces are found in turned, scaled pictures")
    alignment.add_argument("--data", type=Path, required=True, help="a Parquet pack of whole 178x218 CelebA pictures")
    alignment.add_argument("--limit", type=int)
    alignment.add_argument("--seed", type=int, default=0)
    alignment.add_argument("--json", type=Path)
    alignment.add_argument("--record", action="store_true", help="write the figures into the weights' metrics.json")
    alignment.set_defaults(run=_evaluate_alignment)

    discover = commands.add_parser("discover", help="measure what each latent of CSI changes")
    discover.add_argument("--data", type=Path, required=True, help="a Parquet pack of frames")
    discover.add_argument("--mask", default="bottom", help=family)
    discover.add_argument("--limit", type=int, default=64)
    discover.add_argument("--json", type=Path, help="default: latents.json of the CSI weights")
    discover.add_argument("--record", action="store_true", help="only write the count into the weights' metrics.json")
    discover.set_defaults(run=_discover)

    train = commands.add_parser("train", help="train a model")
    train.add_argument("model", choices=tuple(MODELS))
    train.add_argument("--data", type=Path, required=True, help="a folder with train*.parquet and val.parquet")
    train.add_argument("--out", type=Path, required=True, help="a folder for checkpoint, curves and weights")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--minutes", type=float)
    train.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    train.set_defaults(run=_train)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser().parse_args(words)
        options.line = shlex.join(["python", "-m", "csi_demo", *words])
        options.run(options)
        return 0
    except KeyboardInterrupt:
        print("csi_demo: stopped", file=sys.stderr)
        return 130
    except _user_errors() as error:
        print(f"csi_demo: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"csi_demo: this command needs {error.name}: install requirements-dev.txt", file=sys.stderr)
        return 2


def _user_errors() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [
        UsageError,
        masks.MaskError,
        PhotoError,
        ControlError,
        CompletionError,
        UnknownMethodError,
        weights.WeightsError,
    ]
    if data := sys.modules.get("csi_demo.training.data"):
        errors.append(data.DataError)
    if loop := sys.modules.get("csi_demo.training.loop"):
        errors.append(loop.TrainingError)
    return tuple(errors)


def _pairs(words: Sequence[str]) -> dict[str, str]:
    pairs = dict(word.partition("=")[::2] for word in words)
    for name, value in pairs.items():
        if not name or not value:
            raise UsageError(f"--set needs NAME=VALUE, got {name!r}")
    return pairs


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ControlError(f"{name}={text} is not a number") from None


def _split_settings(method: Method, words: Sequence[str]) -> tuple[dict[str, float], dict[str, float]]:
    """Controls and options of a method among --set's pairs."""
    values = {name: _number(text, name) for name, text in _pairs(words).items()}
    names = {option.name for option in method.options}
    return {k: v for k, v in values.items() if k not in names}, {k: v for k, v in values.items() if k in names}


def _complete(options: argparse.Namespace) -> None:
    from .complete import complete_frame, fit_mask
    from .methods import load_method

    if not 1 <= options.samples <= 64:
        raise UsageError(f"--samples {options.samples} is out of range: 1 to 64")
    if not 0 <= options.seed < 2**31:
        raise UsageError(f"--seed {options.seed} is out of range: 0 to {2**31 - 1}")
    photo = open_photo(options.photo)
    if options.aligned and photo.size != (FRAME, FRAME):
        raise PhotoError(
            f"--aligned needs a {FRAME}x{FRAME} frame, {options.photo.name} is {photo.width}x{photo.height}"
        )
    given = _read_mask(options.mask, photo.size)
    method = load_method(options.method)
    placement = _place(options, photo)
    mask, frame_mask = fit_mask(given, placement, photo.size)
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
    from .complete import place_frame

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


def _write_json(figures: Any, file: Path) -> None:
    try:
        weights.write_atomically(file, json.dumps(figures, indent=1) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from None


def _positive(limit: int | None) -> None:
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit} is out of range: 1 or more")


def _evaluate(options: argparse.Namespace) -> None:
    from .evaluation import evaluate

    _positive(options.limit)
    figures = evaluate(
        options.method,
        options.data,
        options.mask,
        limit=options.limit,
        seed=options.seed,
        contact_sheet=options.contact_sheet,
    )
    print(json.dumps(figures, indent=1))
    if options.json:
        _write_json(figures | {"command": options.line}, options.json)
    if options.record:
        weights.record_test(options.method, options.mask, figures | {"command": options.line})


def _evaluate_alignment(options: argparse.Namespace) -> None:
    from .alignment import evaluate_alignment

    _positive(options.limit)
    figures = evaluate_alignment(options.data, limit=options.limit, seed=options.seed)
    print(json.dumps(figures, indent=1))
    if options.json:
        _write_json(figures | {"command": options.line}, options.json)
    if options.record:
        weights.record_test("aligner", "alignment", figures | {"command": options.line})


def _discover(options: argparse.Namespace) -> None:
    import torch

    from . import latents
    from .methods.csi import CSIMethod
    from .training.data import masks_to_tensor, read_pack, to_float

    _positive(options.limit)
    mask = masks_to_tensor([masks.family(options.mask)])
    values = latents.strengths(CSIMethod(torch.float32), to_float(read_pack(options.data, options.limit)), mask)
    found = latents.report(values)
    active = sum(entry["strength"] > latents.ACTIVE for entry in found)
    print("\n".join(f"z{entry['index']:<3} {entry['strength']:.3f}" for entry in found))
    print(f"{active} of {len(found)} latents change the mean hole pixel by more than {latents.ACTIVE}")
    if options.record:
        figures = {"n": options.limit, "active": active, "of": len(found), "threshold": latents.ACTIVE}
        weights.record_test("csi", f"latents {options.mask}", figures | {"command": options.line})
        return
    result = {"mask": options.mask, "command": options.line, "latents": found}
    if options.json:
        _write_json(result, options.json)
    else:
        weights.save_latents("csi", result)


def _literal(name: str, text: str) -> Any:
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _train(options: argparse.Namespace) -> None:
    if options.minutes is not None and options.minutes <= 0:
        raise UsageError(f"--minutes {options.minutes:g} is out of range: more than 0")
    from .training.loop import train

    module, _, attribute = MODELS[options.model].partition(":")
    kind = getattr(import_module(f".training.{module}", __package__), attribute)
    values = {name: _literal(name, text) for name, text in _pairs(options.settings).items()}
    known = {field.name for field in fields(kind.settings_type)}
    model_fields = {field.name for field in fields(kind.config_type)}
    for name in values:
        if name not in known | model_fields:
            raise UsageError(f"unknown setting {name!r}: use one of {', '.join(sorted(known | model_fields))}")
    try:
        settings = kind.settings_type(**{name: value for name, value in values.items() if name in known})
        recipe = kind(settings, {name: value for name, value in values.items() if name in model_fields})
    except (TypeError, ValueError, AssertionError) as error:
        raise UsageError(f"these settings do not make a model: {error}") from None
    train(recipe, options.data, options.out, resume=options.resume, minutes=options.minutes, device=options.device)

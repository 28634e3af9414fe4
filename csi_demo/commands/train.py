"""`train`: trains a model."""

from __future__ import annotations

import argparse
import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..device import DEVICES
from ..errors import UsageError
from ..photo.reading import SUFFIXES
from ..registry import REGISTRY, find
from .common import pairs

PER_STAGE = ("pictures", "learning_rate", "crop")  # a single number is for every stage


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    train = commands.add_parser("train", help="train a model")
    train.add_argument("model", choices=tuple(REGISTRY))
    train.add_argument("--data", type=Path, required=True, help="a folder with train*.parquet and val.parquet")
    train.add_argument("--out", type=Path, required=True, help="a folder for checkpoint, curves and weights")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--minutes", type=float)
    train.add_argument("--device", choices=DEVICES, default="auto")
    train.add_argument(
        "--tensorboard", action="store_true", help="curves and sheets for TensorBoard, in DIR/tensorboard"
    )
    train.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="settings")
    train.set_defaults(run=_train)


def _literal(name: str, text: str) -> Any:
    try:
        return ast.literal_eval({"true": "True", "false": "False"}.get(text, text))
    except (ValueError, SyntaxError):
        return text


def _train(options: argparse.Namespace) -> None:
    if options.minutes is not None and options.minutes <= 0:
        raise UsageError(f"--minutes {options.minutes:g} is out of range: more than 0")
    from ..research.training.loop import train

    _check_packs(options.data)
    kind = find("research.training", REGISTRY[options.model].recipe)
    values = {name: _literal(name, text) for name, text in pairs(options.settings).items()}
    defaults: dict[str, Any] = {
        field.name: field.default for field in (*fields(kind.settings_type), *fields(kind.config_type))
    }
    for name, value in values.items():
        if isinstance(defaults.get(name), tuple) and isinstance(value, int | float):
            values[name] = (value,) * (len(defaults[name]) if name in PER_STAGE else 1)
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
    train(
        recipe,
        options.data,
        options.out,
        resume=options.resume,
        minutes=options.minutes,
        device=options.device,
        tensorboard=options.tensorboard,
    )


def _check_packs(folder: Path) -> None:
    """Raises UsageError for a folder of plain pictures, or of folders of packs; the message says what to do."""
    if not folder.is_dir() or any(folder.glob("*.parquet")):
        return
    if packs := sorted(file.parent for file in folder.glob("*/train*.parquet")):
        raise UsageError(
            f"{folder} has packs in {' and '.join(sorted({str(pack) for pack in packs}))}: name one of them"
        )
    if any(file.suffix.lower() in SUFFIXES for file in folder.rglob("*")):
        raise UsageError(
            f"{folder} has plain pictures: `python -m csi_demo pack {folder} --out PACKS` makes packs of them, "
            "--data PACKS/64 then takes them"
        )

"""`train`: trains a model."""

from __future__ import annotations

import argparse
import ast
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..device import DEVICES
from ..errors import UsageError
from ..registry import REGISTRY, find
from .common import pairs


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    train = commands.add_parser("train", help="train a model")
    train.add_argument("model", choices=tuple(REGISTRY))
    train.add_argument("--data", type=Path, required=True, help="a folder with train*.parquet and val.parquet")
    train.add_argument("--out", type=Path, required=True, help="a folder for checkpoint, curves and weights")
    train.add_argument("--resume", action="store_true")
    train.add_argument("--minutes", type=float)
    train.add_argument("--device", choices=DEVICES, default="auto")
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

    kind = find("research.training", REGISTRY[options.model].recipe)
    values = {name: _literal(name, text) for name, text in pairs(options.settings).items()}
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

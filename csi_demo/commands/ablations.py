"""`ablations`: the papers' claims, tested on small variants of CSI, of IAN and of the Gated PixelCNN."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .common import positive, write_file, write_json

DATA = Path("../shared/data/celeba64")
WEIGHTS = {
    "csi": Path("runs/ablations"),
    "ian": Path("runs/ablations-ian"),
    "pixelcnn": Path("runs/ablations-pixelcnn"),
}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    ablations = commands.add_parser("ablations", help="the papers' claims on small variants: a table and figures")
    ablations.add_argument("--model", choices=tuple(WEIGHTS), default="csi")
    ablations.add_argument("--out", type=Path, required=True, help="a folder for ablations.md and contact sheets")
    ablations.add_argument("--json", type=Path, help="the figures; default: ablations.json in that folder")
    ablations.add_argument(
        "--weights",
        type=Path,
        help=f"a folder of variants; default: {', '.join(map(str, WEIGHTS.values()))}; without it csi's on the page",
    )
    ablations.add_argument(
        "--data", type=Path, default=DATA, help=f"a folder with train*, val and test.parquet; default: {DATA}"
    )
    ablations.add_argument("--limit", type=int, help="test pictures; default: all")
    ablations.add_argument("--seed", type=int, default=0)
    ablations.add_argument("--train", action="store_true", help="train what is missing first; goes on where it stopped")
    ablations.add_argument("--minutes", type=float, help="of training, all variants together; then the rest is left")
    ablations.add_argument(
        "--pictures", metavar="N,M", help="that every variant sees in stage 1 and in stage 2; N for the others"
    )
    ablations.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    ablations.add_argument(
        "--record", action="store_true", help="copy the page's variants of csi into weights/ablations"
    )
    ablations.set_defaults(run=_ablations)


def _ablations(options: argparse.Namespace) -> int:
    positive(options.limit)
    if not options.train and (options.minutes is not None or options.pictures):
        raise UsageError("--minutes and --pictures are for --train")
    if options.minutes is not None and options.minutes <= 0:
        raise UsageError(f"--minutes {options.minutes:g} is out of range: more than 0")
    from ..research.studies.ablations import introspective, report
    from ..research.studies.ablations.autoregressive import report as autoregressive
    from ..research.training.variants import recipes_of, train_missing

    other = {"ian": introspective, "pixelcnn": autoregressive}.get(options.model)
    if other and options.record:
        raise UsageError(f"--record is for csi: the page shows no variants of {options.model}")
    default = WEIGHTS[options.model]
    runs = options.weights or default
    if options.train:
        pictures = _pictures(options.pictures, 1 if other else 2) if options.pictures else None
        recipes = recipes_of(options.model, runs, pictures)
        left = train_missing(recipes, options.data, minutes=options.minutes, device=options.device)
        if left:
            print(f"still to be trained: {', '.join(left)}; the same command goes on")
            return 0
    test, common = options.data / "test.parquet", {"limit": options.limit, "seed": options.seed}
    if other:
        figures = other.report(test, runs, **common)
        _write(options, figures, other.markdown(figures))
        _list(other.write_figures(test, runs, options.out, seed=options.seed))
        return 0
    from ..sampling import compiled

    folder = runs if options.weights or options.train or default.is_dir() else None
    if options.record and folder is None:
        raise UsageError(f"--record needs variants in {default} or --weights: those among the weights stay as they are")
    compiled.code.prepare().join()  # all fills are drawn the same way
    figures = report.report(test, folder, **common)
    _write(options, figures, report.markdown(figures))
    _list(report.write_figures(test, folder, options.out, seed=options.seed))
    if options.record:
        report.keep(runs, figures, options.line)
    return 0


def _write(options: argparse.Namespace, figures: dict[str, Any], text: str) -> None:
    """Prints a table and writes it with its figures, which the command is put beside."""
    figures["command"] = options.line
    print(text)
    write_json(figures, options.json or options.out / "ablations.json")
    write_file(text, options.out / "ablations.md")


def _list(files: Iterable[Path]) -> None:
    for file in files:
        print(file)


def _pictures(text: str, stages: int) -> tuple[int, ...]:
    """As many whole numbers as there are stages. Raises UsageError."""
    numbers = [int(word) for word in text.split(",") if word.isdecimal() and len(word) < 10 and int(word) > 0]
    if len(numbers) != stages or text.count(",") != stages - 1:
        wanted = "two whole numbers, as in 60000,60000" if stages == 2 else "a whole number, as in 60000"
        raise UsageError(f"--pictures {text!r:.40} needs {wanted}")
    return tuple(numbers)

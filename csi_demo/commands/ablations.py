"""`ablations`: the paper's claims, tested on small variants of CSI."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .common import positive, write_file, write_json

DATA, WEIGHTS = Path("../shared/data/celeba64"), Path("runs/ablations")


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    ablations = commands.add_parser("ablations", help="the paper's claims on small variants: a table and figures")
    ablations.add_argument("--out", type=Path, required=True, help="a folder for ablations.md and contact sheets")
    ablations.add_argument("--json", type=Path, help="the figures; default: ablations.json in that folder")
    ablations.add_argument(
        "--weights", type=Path, help=f"a folder of variants; default: {WEIGHTS}, or without it those among the weights"
    )
    ablations.add_argument(
        "--data", type=Path, default=DATA, help=f"a folder with train*, val and test.parquet; default: {DATA}"
    )
    ablations.add_argument("--limit", type=int, help="test pictures; default: all")
    ablations.add_argument("--seed", type=int, default=0)
    ablations.add_argument("--train", action="store_true", help="train what is missing first; goes on where it stopped")
    ablations.add_argument("--minutes", type=float, help="of training, all variants together; then the rest is left")
    ablations.add_argument("--pictures", metavar="N,M", help="that every variant sees in stage 1 and in stage 2")
    ablations.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    ablations.add_argument("--record", action="store_true", help="copy the page's variants into weights/ablations")
    ablations.set_defaults(run=_ablations)


def _ablations(options: argparse.Namespace) -> int:
    positive(options.limit)
    if not options.train and (options.minutes is not None or options.pictures):
        raise UsageError("--minutes and --pictures are for --train")
    if options.minutes is not None and options.minutes <= 0:
        raise UsageError(f"--minutes {options.minutes:g} is out of range: more than 0")
    from ..sampling.compiled import prepare
    from ..studies.ablations import report
    from ..training.variants import PICTURES, train_missing

    runs = options.weights or WEIGHTS
    folder = runs if options.weights or options.train or WEIGHTS.is_dir() else None
    if options.record and folder is None:
        raise UsageError(f"--record needs variants in {WEIGHTS} or --weights: those among the weights stay as they are")
    if options.train:
        left = train_missing(
            options.data,
            runs,
            pictures=_pictures(options.pictures) if options.pictures else PICTURES,
            minutes=options.minutes,
            device=options.device,
        )
        if left:
            print(f"still to be trained: {', '.join(left)}; the same command goes on")
            return 0
    prepare().join()  # all fills are drawn the same way
    test = options.data / "test.parquet"
    figures = report.report(test, folder, limit=options.limit, seed=options.seed)
    figures["command"] = options.line
    text = report.markdown(figures)
    print(text)
    write_json(figures, options.json or options.out / "ablations.json")
    write_file(text, options.out / "ablations.md")
    for file in report.write_figures(test, folder, options.out, seed=options.seed):
        print(file)
    if options.record:
        report.keep(runs, figures, options.line)
    return 0


def _pictures(text: str) -> tuple[int, int]:
    """Two whole numbers. Raises UsageError."""
    numbers = [int(word) for word in text.split(",") if word.isdecimal() and len(word) < 10 and int(word) > 0]
    if len(numbers) != 2 or text.count(",") != 1:
        raise UsageError(f"--pictures {text!r:.40} needs two whole numbers, as in 60000,60000")
    return numbers[0], numbers[1]

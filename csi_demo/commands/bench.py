"""`bench`: measures every speed."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .common import write_json


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    bench = commands.add_parser("bench", help="every speed, beside the plain way's and the machine's limit")
    bench.add_argument("--json", type=Path, required=True)
    bench.add_argument("--plot", type=Path, help="a PNG of the time per pixel")
    bench.add_argument("--repeats", type=int, default=7, help="of every measurement, the median counts")
    bench.set_defaults(run=_bench)


def _bench(options: argparse.Namespace) -> None:
    if not 1 <= options.repeats <= 1000:
        raise UsageError(f"--repeats {options.repeats} is out of range: 1 to 1000")
    from ..ops import benchmark

    figures = benchmark.bench(repeats=options.repeats) | {"command": options.line}
    print(benchmark.report(figures))
    write_json(figures, options.json)
    if options.plot:
        try:
            benchmark.plot(figures, options.plot)
        except OSError as error:
            raise UsageError(f"cannot write {options.plot}: {error.strerror}") from None

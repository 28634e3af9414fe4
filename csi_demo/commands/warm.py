"""`warm`: compiles beforehand what the first fill would wait for."""

from __future__ import annotations

import argparse
import time

from ..errors import UsageError


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    warm = commands.add_parser("warm", help="compile the kernels for this processor, so that the first fill is quick")
    warm.set_defaults(run=_warm)


def _warm(options: argparse.Namespace) -> None:
    from ..sampling import compiled, gated_compiled
    from ..sampling.machine_code import find_place

    began = time.monotonic()
    if not all([code.make() for code in (compiled.code, gated_compiled.code)]):
        raise UsageError("the kernels cannot be compiled here: pixels are drawn with torch, more slowly")
    print(f"ready after {time.monotonic() - began:.1f} s, in {find_place()}")

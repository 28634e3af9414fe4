"""`docs`: writes the tables of README.md and docs/ from the figures that stand in JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    docs = commands.add_parser("docs", help="write the tables of README.md and docs/ from metrics.json and docs/*.json")
    docs.add_argument("--check", action="store_true", help="write nothing; status 2 where a table is not up to date")
    docs.set_defaults(run=_docs)


def _docs(options: argparse.Namespace) -> None:
    from ..ops.documents import rewrite

    changed = rewrite(Path(), options.check)
    if options.check and changed:
        raise UsageError(f"{', '.join(map(str, changed))}: run python -m csi_demo docs")
    for file in changed:
        print(file)

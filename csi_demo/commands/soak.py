"""`soak`: virtual visitors at a running page."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .common import write_json


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    soak = commands.add_parser("soak", help="virtual visitors at a running page: errors, waits, memory, files left")
    soak.add_argument("--url", default="http://127.0.0.1:7860/")
    soak.add_argument("--minutes", type=float, default=5.0)
    soak.add_argument("--visitors", type=int, default=20, help="at once")
    soak.add_argument("--pid", type=int, help="of the server, where it runs on this Linux machine: tells its memory")
    soak.add_argument(
        "--files", type=Path, metavar="FOLDER", help="of its uploads (GRADIO_TEMP_DIR): counts what is left"
    )
    soak.add_argument("--json", type=Path)
    soak.set_defaults(run=_soak)


def _soak(options: argparse.Namespace) -> int:
    if not 0.01 <= options.minutes <= 10_000 or not 1 <= options.visitors <= 1000:
        raise UsageError("--minutes is from 0.01 to 10000, --visitors from 1 to 1000")
    from ..tools import soaking

    url = options.url if options.url.endswith("/") else f"{options.url}/"
    figures = soaking.soak(url, options.minutes, options.visitors, options.pid, options.files)
    print(soaking.report(figures))
    if options.json:
        write_json(figures | {"command": options.line}, options.json)
    return 1 if figures["errors"] else 0

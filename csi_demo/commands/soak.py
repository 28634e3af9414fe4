"""`soak`: virtual visitors at a running page, or at two replicas that it starts itself and makes life hard for."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UsageError
from .common import write_json

URL = "http://127.0.0.1:7860/"


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    soak = commands.add_parser("soak", help="virtual visitors at a running page: errors, waits, memory, files left")
    soak.add_argument("--url", help=f"of the page; {URL}")
    soak.add_argument("--minutes", type=float, default=5.0)
    soak.add_argument("--visitors", type=int, default=20, help="at once")
    soak.add_argument("--pid", type=int, help="of the server, where it runs on this Linux machine: tells its memory")
    soak.add_argument(
        "--files", type=Path, metavar="FOLDER", help="of its uploads (GRADIO_TEMP_DIR): counts what is left"
    )
    soak.add_argument(
        "--hard",
        action="store_true",
        help="start two replicas behind nginx, cut uploads half-way, stop one replica and start it again, fill a disk",
    )
    soak.add_argument(
        "--small-disk", type=Path, metavar="FOLDER", help="on a small disk, to be filled up in the place of a tmpfs"
    )
    soak.add_argument("--json", type=Path)
    soak.set_defaults(run=_soak)


def _soak(options: argparse.Namespace) -> int:
    if not 0.01 <= options.minutes <= 10_000 or not 1 <= options.visitors <= 1000:
        raise UsageError("--minutes is from 0.01 to 10000, --visitors from 1 to 1000")
    if options.hard:
        return _hard(options)
    if options.small_disk:
        raise UsageError("--small-disk goes with --hard alone")
    from ..ops import soaking

    url = options.url or URL
    url = url if url.endswith("/") else f"{url}/"
    figures = soaking.soak(url, options.minutes, options.visitors, options.pid, options.files)
    print(soaking.report(figures))
    if options.json:
        write_json(figures | {"command": options.line}, options.json)
    return 1 if figures["errors"] else 0


def _hard(options: argparse.Namespace) -> int:
    if options.url or options.pid or options.files:
        raise UsageError("--hard starts what it soaks: --url, --pid and --files go without it")
    from ..ops import hard_soak

    figures = hard_soak.hard_soak(options.minutes, options.visitors, options.small_disk)
    print(hard_soak.report(figures))
    if options.json:
        write_json(figures | {"command": options.line}, options.json)
    return 1 if hard_soak.lost(figures) else 0

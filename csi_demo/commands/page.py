"""`page`: serves the page, as `app.py` does in a checkout."""

from __future__ import annotations

import argparse


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    page = commands.add_parser("page", help="serve the page at http://127.0.0.1:7860 (PORT, GRADIO_SERVER_NAME)")
    page.set_defaults(run=_page)


def _page(options: argparse.Namespace) -> None:
    from ..ui.launch import run

    run()

"""`publish`: puts the weights on the Hub."""

from __future__ import annotations

import argparse


def add_to(commands: argparse._SubParsersAction) -> None:
    """Adds the command to the parser."""
    publish = commands.add_parser("publish", help="put the weights and a model card on the Hub")
    publish.add_argument("--repo-id", required=True, metavar="USER/NAME", help="made where it does not exist")
    publish.add_argument("--revision", help="a branch, made where it does not exist; default: main")
    publish.add_argument("--private", action="store_true", help="only for those who may see the repository")
    publish.set_defaults(run=_publish)


def _publish(options: argparse.Namespace) -> None:
    from ..ops.publishing import publish

    commit = publish(options.repo_id, options.revision, private=options.private)
    print(f"published; load it with CSI_WEIGHTS_REPO={options.repo_id}@{commit}")

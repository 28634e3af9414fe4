"""The command line, `python -m csi_demo …`. Errors a user can cause end in one line on standard error and status 2."""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from .commands import (
    ablations,
    bench,
    complete,
    complete_many,
    docs,
    edit,
    figures,
    latents,
    licences,
    methods,
    pack,
    page,
    publish,
    soak,
    strip,
    train,
    warm,
)
from .errors import UsageError, UserError
from .surroundings import share_cores, spare_loopback

INSTALL = "pip install 'csi-demo[train,cluster,test]', or requirements-dev.txt in a checkout"
# What disks and permissions may do at any time.
BEYOND_US = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        raise UsageError(f"{message} (see {self.prog} --help)")


def _called() -> str:
    """How the command line was called: `csi-demo`, as it is installed, or `python -m csi_demo`."""
    return "csi-demo" if Path(sys.argv[0]).stem == "csi-demo" else "python -m csi_demo"


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = _Parser(prog=_called(), description="Controllable Semantic Inpainting")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for module in (
        complete,
        complete_many,
        methods,
        edit,
        strip,
        figures,
        latents,
        pack,
        train,
        ablations,
        bench,
        publish,
        soak,
        licences,
        page,
        warm,
        docs,
    ):
        module.add_to(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")  # what goes wrong with the Hub is said once, by us
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        share_cores()
        spare_loopback()
        options = parser().parse_args(words)
        options.line = shlex.join(["python", "-m", "csi_demo", *words])
        return options.run(options) or 0
    except KeyboardInterrupt:
        print("csi_demo: stopped", file=sys.stderr)
        return 130
    except UserError as error:
        print(f"csi_demo: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read what is printed has gone
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (so that nothing is said of it at the end)
        return 1
    except MemoryError:
        print("csi_demo: not enough memory for this", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno not in BEYOND_US:
            raise
        print(f"csi_demo: {error.strerror}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"csi_demo: this command needs {error.name}: {INSTALL}", file=sys.stderr)
        return 2

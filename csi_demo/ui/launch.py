"""Serves the page, by `app.py` or the command `page`. What visitors sent goes when it stops."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn


def run() -> NoReturn:
    """Serves the page until the process is told to end, which ends it; what is wrong is said in one line."""
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # both end the process at once: nothing is to be tidied yet
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    from ..errors import UserError
    from .server import files, process

    try:
        _serve()
    except UserError as error:
        print(f"csi_demo: {error}", file=sys.stderr)
        process.end(2, files.leave)


def _serve() -> NoReturn:
    """Raises UserError where the page cannot be served.

    What takes long, and what Gradio writes when it is imported, comes after all that may be wrong.
    """
    from ..surroundings import share_cores, spare_loopback
    from .server import files, process

    share_cores()
    spare_loopback()
    process.check_free()
    files.use_own_folder(process.port())
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # it tells nobody

    from ..device import check_setting
    from ..methods import recent
    from .blocks import build, launch_options
    from .engine import warm_up
    from .photo import KEPT
    from .server import health, memory, metrics
    from .server.keep import regularly

    check_setting()
    options, demo = launch_options(), build()
    options["app_kwargs"]["routes"].append(health.route(lambda: len(demo._queue)))
    metrics.serve(lambda: len(demo._queue))
    memory.use_little()
    if os.environ.get("SPACES_ZERO_GPU"):
        from .server import zerogpu

        zerogpu.load_all()
    warm_up()
    mailboxes: Any = demo._queue.pending_messages_per_session
    regularly(KEPT.sweep, mailboxes.bound, files.sweep, recent.sweep)
    memory.start_counting()
    regularly(memory.give_back, interval=10.0)
    status = 0
    process.ask_to_end()
    try:
        demo.launch(**options)
    except SystemExit as asked:
        status = int(asked.code or 0)
    except OSError as error:
        print(f"csi_demo: the page cannot be served: {error}", file=sys.stderr)
        status = 2
    process.end(status, demo._queue.close, lambda: metrics.wait_until_idle(process.SECONDS_TO_FINISH), files.leave)


if __name__ == "__main__":
    run()

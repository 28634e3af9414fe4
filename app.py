"""Builds the page and launches it. What visitors sent goes when it stops."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__":  # until the page is served, both signals end the process at once: there is nothing to tidy
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from csi_demo.errors import UserError
from csi_demo.surroundings import share_cores, spare_loopback
from csi_demo.ui.server import files, process


def main() -> None:
    """Serves the page until the process is told to end. Raises UserError where that cannot be.

    What takes long, and what Gradio writes when it is imported, comes after all that may be wrong.
    """
    share_cores()
    spare_loopback()
    process.check_free()
    files.use_own_folder(process.port())
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # it tells nobody

    from csi_demo.device import check_setting
    from csi_demo.ui.blocks import build, launch_options
    from csi_demo.ui.engine import warm_up
    from csi_demo.ui.photo import KEPT
    from csi_demo.ui.server import health, memory, metrics
    from csi_demo.ui.server.keep import regularly

    check_setting()
    options, demo = launch_options(), build()
    options["app_kwargs"]["routes"].append(health.route(lambda: len(demo._queue)))
    metrics.serve(lambda: len(demo._queue))
    memory.use_little()
    if os.environ.get("SPACES_ZERO_GPU"):
        from csi_demo.ui.server import zerogpu

        zerogpu.load_all()
    warm_up()
    regularly(KEPT.sweep, demo._queue.pending_messages_per_session.bound, files.sweep)
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
    try:
        main()
    except UserError as error:
        print(f"csi_demo: {error}", file=sys.stderr)
        process.end(2, files.leave)

"""Builds the page and launches it. What visitors sent goes when it stops."""

from __future__ import annotations

import os
import signal
import sys

from csi_demo.device import check_setting
from csi_demo.errors import DeviceError
from csi_demo.ui.blocks import build, launch_options
from csi_demo.ui.engine import warm_up
from csi_demo.ui.photo import KEPT
from csi_demo.ui.server import files, memory
from csi_demo.ui.server.keep import regularly

options = launch_options()
files.use_own_folder(options["server_port"])
demo = build()
messages = demo._queue.pending_messages_per_session

if __name__ == "__main__":
    try:
        check_setting()
    except DeviceError as error:
        print(f"csi_demo: {error}", file=sys.stderr)
        sys.exit(2)
    memory.use_little()
    if os.environ.get("SPACES_ZERO_GPU"):
        from csi_demo.ui.server import zerogpu

        zerogpu.load_all()
    warm_up()
    regularly(KEPT.sweep, messages.bound, files.sweep)
    regularly(memory.give_back, interval=10.0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        demo.launch(**options)
    finally:
        files.sweep(0)

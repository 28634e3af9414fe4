"""Builds the page and launches it."""

from __future__ import annotations

from csi_demo.ui.blocks import build, launch_options
from csi_demo.ui.engine import warm_up
from csi_demo.ui.photo import KEPT

demo = build()

if __name__ == "__main__":
    warm_up()
    KEPT.sweep_regularly()
    demo.launch(**launch_options())

"""The panels of the page: each draws its own components and wires their events.

A panel's events may change what other panels show: `Panels` is how they know each other. `outputs` of a panel are its
components by name, as handlers name them in an `Update`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr

if TYPE_CHECKING:
    from .fill import FillPanel
    from .hood import HoodPanel
    from .several import SeveralPanel
    from .shown import ShownPanel
    from .steer import SteerPanel
    from .subject import SubjectPanel

QUICK: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}
COMPUTE: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 2}  # of everything that runs a model


@dataclass(frozen=True)
class Panels:
    """All of them, drawn."""

    demo: gr.Blocks
    subject: SubjectPanel
    shown: ShownPanel
    fill: FillPanel
    steer: SteerPanel
    hood: HoodPanel
    several: SeveralPanel

    def wire(self) -> None:
        """Wires the events of all."""
        for panel in (self.subject, self.shown, self.fill, self.steer, self.hood, self.several):
            panel.wire(self)

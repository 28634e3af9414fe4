"""How the hole is filled: the buttons, the method, how many fills, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component

from .. import engine, filling
from ..engine import MAX_SAMPLES, MAX_SEED
from ..wiring import listen
from . import COMPUTE, QUICK, Panels


class FillPanel:
    """The buttons and the status, and, drawn where `draw_settings` is called, the settings of a fill."""

    def __init__(self) -> None:
        self.run = gr.State(None)  # the key of what `photo.KEPT` has of this visitor's work
        with gr.Row(elem_id="run"):
            self.fill = gr.Button("Fill the hole", variant="primary", min_width=110, scale=4, elem_id="fill")
            self.compare = gr.Button("Compare all", min_width=100, scale=2, elem_id="compare")
            self.stop = gr.Button("Stop", variant="stop", interactive=False, min_width=60, scale=1, elem_id="stop")
        self.status = gr.HTML(elem_id="status")
        self.buttons: dict[str, Component] = {"fill": self.fill, "compare": self.compare, "stop": self.stop}

    def draw_settings(self) -> None:
        """The method, the number of fills, and where chance begins."""
        self.method = gr.Radio(
            engine.method_choices(),
            value=engine.method_choices()[0][1],
            label="Method",
            info="The way of filling the hole.",
            elem_id="method",
        )
        with gr.Row(elem_id="chance"):
            self.samples = gr.Slider(
                1,
                MAX_SAMPLES,
                2,
                step=1,
                label="How many",
                info="Different fills, to choose from.",
                buttons=[],
                min_width=120,
                elem_id="samples",
            )
            self.seed = gr.Number(
                0,
                label="Seed",
                info="The same seed draws the same picture.",
                precision=0,
                minimum=0,
                maximum=MAX_SEED,
                min_width=120,
                elem_id="seed",
            )

    def outputs(self, panels: Panels) -> dict[str, Component]:
        """What a fill changes."""
        return panels.shown.outputs | self.buttons | {"status": self.status}

    def inputs(self, panels: Panels) -> list[Component]:
        """What `filling.Desk.of` takes."""
        first = [self.method, panels.subject.painter, *panels.hood.look, panels.steer.start]
        return [*first, self.seed, self.samples, *panels.steer.slots.values()]

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        for button, work in ((self.fill, filling.fill), (self.compare, filling.compare)):
            begun = {"run": self.run, "status": self.status} | self.buttons
            beginning = listen(button.click, filling.begin, self.run, begun, queue=False, **QUICK)
            self._work(beginning, filling.stoppable(work), [self.run, *self.inputs(panels)], panels)
        stopped = {"stop": self.stop, "status": self.status}
        listen(self.stop.click, filling.stop, self.run, stopped, queue=False, **QUICK)
        panels.steer.wire_sliders(self.method.input, panels)

    def wire_linked(self, opening: Any, linked: Component, panels: Panels) -> None:
        """Fills what a link asks for, once the page has opened it."""
        self._work(opening, filling.fill_linked, [linked, panels.subject.painter, *panels.hood.look], panels)

    def wire_refill(self, event: Callable[..., Any], panels: Panels, **options: Any) -> None:
        """Fills again after an event of the sliders."""
        inputs, outputs = [self.run, *self.inputs(panels)], {"run": self.run} | self.outputs(panels)
        listen(event, filling.refill, inputs, outputs, **options, **QUICK, **COMPUTE)

    def _work(self, before: Any, work: Callable[..., Any], inputs: list[Component], panels: Panels) -> None:
        """Lets work that shows a result follow an event, and tells the visitor where there was no place for it."""
        outputs = self.outputs(panels)
        working = listen(before.then, work, inputs, outputs, **QUICK, **COMPUTE)
        listen(working.failure, filling.turned_away, None, outputs, queue=False, **QUICK)

"""How the hole is filled: the buttons, the method, how many fills, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.components import Component

from .. import engine, filling, static
from ..engine import MAX_SAMPLES, MAX_SEED
from ..server import health
from ..wiring import Update, listen
from . import COMPUTE, QUICK, Panels


class FillPanel:
    """The buttons and the status, and, drawn where `draw_settings` is called, the settings of a fill."""

    def __init__(self) -> None:
        self.run = gr.State(None)  # the key of what `photo.KEPT` has of this visitor's work
        # Not beside its checkboxes, which are not there while their fold is closed. The secret hides nothing, but a
        # fresh one at each start would make browsers forget.
        self.kept = gr.BrowserState(_every(), storage_key="csi-compared", secret="csi-compared")
        with gr.Row(elem_id="run"):
            self.fill, self.again, self.compare, self.stop = (
                gr.Button(label, variant=kind, interactive=False, min_width=width, scale=scale, elem_id=name)  # type: ignore[arg-type]
                for label, kind, width, scale, name in (
                    ("Fill the hole", "primary", 110, 4, "fill"),
                    ("Again", "secondary", 60, 1, "again"),
                    ("Compare all", "secondary", 100, 2, "compare"),
                    ("Stop", "stop", 60, 1, "stop"),
                )
            )
        self.status = gr.HTML(
            None,
            html_template=static.text("status.html", STARTED=health.STARTED),
            js_on_load=static.text("status.js"),
            apply_default_css=False,
            elem_id="status",
        )

    def draw_settings(self) -> None:
        """The method, the number of fills, and where chance begins."""
        self.method = gr.Radio(
            engine.method_choices(),
            value=engine.method_choices()[0][1],
            label="Method",
            info="The way of filling the hole.",
            elem_id="method",
        )
        with gr.Accordion("Which methods to compare", open=False, elem_id="which"):
            self.compared = gr.CheckboxGroup(
                engine.method_choices(),
                value=_every(),
                label="To compare",
                info="They fill the same hole with the same seed.",
                elem_id="compared",
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
        return panels.shown.outputs | {"status": self.status}

    def inputs(self, panels: Panels) -> list[Component]:
        """What `PageInputs.of` takes."""
        first = [self.method, panels.subject.painter, *panels.hood.display, panels.steer.start]
        return [*first, self.seed, self.samples, *panels.steer.slots.values()]

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        begun = {"run": self.run, "status": self.status, "seed": self.seed}
        for button, begin, work, chosen in (
            (self.fill, filling.begin, filling.stoppable(filling.fill), []),
            (self.again, filling.again, filling.stoppable(filling.fill), []),
            (self.compare, filling.begin, filling.compare_chosen, [self.compared]),
        ):
            given = [self.run, self.seed, self.samples][: 3 if begin is filling.again else 1]
            beginning = listen(button.click, begin, given, begun, queue=False, **QUICK)
            self._work(beginning, work, [self.run, *chosen, *self.inputs(panels)], panels)
        remembered = {"compared": self.compared, "compare": self.compare}
        listen(panels.demo.load, recall, self.kept, remembered, queue=False, **QUICK)
        keeping = {"kept": self.kept, "compare": self.compare}
        listen(self.compared.input, choose_compared, self.compared, keeping, queue=False, **QUICK)
        listen(self.stop.click, filling.stop, self.run, {"status": self.status}, queue=False, **QUICK)
        for event in (panels.demo.load, self.method.input):  # a method that cannot be had is told at once
            panels.steer.wire_sliders(event, panels)

    def wire_linked(self, opening: Any, linked: Component, panels: Panels) -> None:
        """Fills what a link asks for, once the page has opened it."""
        self._work(opening, filling.fill_linked, [linked, panels.subject.painter, *panels.hood.display], panels)

    def wire_refill(self, event: Callable[..., Any], panels: Panels, **options: Any) -> None:
        """Fills again after an event of the sliders."""
        inputs, outputs = [self.run, *self.inputs(panels)], {"run": self.run} | self.outputs(panels)
        listen(event, filling.refill, inputs, outputs, **options, **QUICK, **COMPUTE)

    def _work(self, before: Any, work: Callable[..., Any], inputs: list[Component], panels: Panels) -> None:
        """Lets work that shows a result follow an event, and tells the visitor where there was no place for it."""
        outputs = self.outputs(panels)
        working = listen(before.then, work, inputs, outputs, trigger_mode="multiple", **QUICK, **COMPUTE)
        listen(working.failure, filling.turned_away, None, outputs, queue=False, **QUICK)


def _every() -> list[str]:
    return [name for _, name in engine.method_choices()]


def recall(kept: object) -> Update:
    """The methods that this browser compared last."""
    return {"compared": kept} | _compare_button(kept) if _among_methods(kept) else {}


def choose_compared(chosen: object) -> Update:
    """Remembers in the browser which methods are to be compared."""
    return {"kept": chosen} | _compare_button(chosen) if _among_methods(chosen) else {}


def _among_methods(names: object) -> bool:
    return isinstance(names, list) and len(names) <= len(_every()) and all(name in _every() for name in names)


def _compare_button(names: object) -> Update:
    count = len(names) if isinstance(names, list) else 0
    return {"compare": gr.update(value="Compare all" if count == len(_every()) else f"Compare {count}")}

"""The results: what the model sees, how many fills by which method, and what has come of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from ...errors import PageError
from ...pixels import FRAME
from .. import engine, filling, painter, photo, render, results, static
from ..engine import MAX_SAMPLES, MAX_SEED
from ..results import CRISP, IN_FRAME, IN_PHOTO, SMOOTH
from ..wiring import Update, any_of, listen
from . import COMPUTE, QUICK, Panels
from .subject import use_result


class FillPanel:
    """The input with its hole, the settings of a fill, the buttons, the pictures, and what follows them."""

    def __init__(self) -> None:
        self.run, self.result = gr.State(None), gr.State(None)  # keys of what `photo.KEPT` has of this visitor
        with gr.Column(elem_id="results"):
            with gr.Row(elem_id="pair"):
                self.masked = gr.HTML(elem_id="masked")
                with gr.Column():
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
                    self.samples = gr.Slider(
                        1,
                        MAX_SAMPLES,
                        2,
                        step=1,
                        label="Samples",
                        info="How many different fills.",
                        buttons=[],
                        min_width=120,
                        elem_id="samples",
                    )
            self.method = gr.Radio(
                engine.method_choices(),
                value=engine.method_choices()[0][1],
                label="Method",
                info="The way of filling the hole.",
                elem_id="method",
            )
            with gr.Accordion("Which methods to compare", open=False, elem_id="which"):
                every = [name for _, name in engine.method_choices()]
                self.compared = gr.CheckboxGroup(
                    engine.method_choices(),
                    value=every,
                    label="To compare",
                    info="They fill the same hole with the same seed.",
                    elem_id="compared",
                )
            # Not in the accordion, of which nothing is there while it is closed. The secret hides nothing, but a fresh
            # one at each start would make browsers forget.
            self.kept = gr.BrowserState(every, storage_key="csi-compared", secret="csi-compared")
            with gr.Row(elem_id="run"):
                self.fill = gr.Button("Fill the hole", variant="primary", min_width=110, scale=3, elem_id="fill")
                self.compare = gr.Button("Compare all", min_width=100, scale=2, elem_id="compare")
                self.stop = gr.Button("Stop", variant="stop", interactive=False, min_width=60, scale=1, elem_id="stop")
            self.status = gr.HTML(elem_id="status")
            self.pictures = gr.HTML(
                render.empty_view(), js_on_load=static.text("results.js"), apply_default_css=False, elem_id="pictures"
            )
            with gr.Row(elem_id="follow"):
                self.following = {
                    name: gr.Button(label, size="md", interactive=False, min_width=width, scale=width, elem_id=name)
                    for label, width, name in (
                        ("Download full size", 140, "save"),
                        ("Strip", 60, "strip"),
                        ("GIF", 60, "gif"),
                        ("Use as the photo", 130, "use"),
                    )
                }
            self.file = gr.DownloadButton("Download", elem_id="file")
            with gr.Row():
                self.where = _choice([IN_PHOTO, IN_FRAME], "Show", "The photo, or what the model drew.", "where")
                self.refine = gr.Checkbox(
                    True, label="Refine", info="Redraws the fill at the photo's own detail.", elem_id="refine"
                )
                self.look = _choice([SMOOTH, CRISP], "Enlargement", "How 64 pixels become 384.", "look")
        self.buttons: dict[str, Component] = {"fill": self.fill, "compare": self.compare, "stop": self.stop}
        self.outputs: dict[str, Component] = {"pictures": self.pictures, "status": self.status, "result": self.result}
        self.outputs |= self.buttons | self.following

    @property
    def shown(self) -> list[Component]:
        """How results are to be seen: what `results.chosen_look` takes."""
        return [self.look, self.where, self.refine]

    def inputs(self, panels: Panels) -> list[Component]:
        """What `filling.Desk.of` takes."""
        first = [self.method, panels.subject.painter, *self.shown, panels.steer.start]
        return [*first, self.seed, self.samples, *panels.steer.slots.values()]

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        shown = [self.result, *self.shown]
        for button, work, chosen in (
            (self.fill, filling.stoppable(filling.fill), []),
            (self.compare, filling.compare_chosen, [self.compared]),
        ):
            begun = {"run": self.run, "status": self.status} | self.buttons
            beginning = listen(button.click, filling.begin, self.run, begun, queue=False, **QUICK)
            self._work(beginning, work, [self.run, *chosen, *self.inputs(panels)])
        remembered = {"compared": self.compared, "compare": self.compare}
        listen(panels.demo.load, recall, self.kept, remembered, queue=False, **QUICK)
        listen(
            self.compared.input,
            choose_compared,
            self.compared,
            {"kept": self.kept, "compare": self.compare},
            queue=False,
            **QUICK,
        )
        listen(self.stop.click, filling.stop, self.run, {"stop": self.stop}, queue=False, **QUICK)
        self.wire_masked(self.look.change, panels.subject.painter)
        changes = any_of((self.look.change, self.where.change, self.refine.change))
        listen(changes, results.show_result, shown, self._pictures, **QUICK)
        listen(self.pictures.select, results.choose_sample, shown, self._pictures, **QUICK)
        for name, handler, inputs in (
            ("save", results.save, [self.result, self.refine]),
            ("strip", results.save_strip, [self.result, self.look]),
            ("gif", results.save_animation, [self.result, self.look]),
        ):
            made = {"status": self.status, "file": self.file}
            saved = listen(self.following[name].click, handler, inputs, made, **QUICK)
            saved.success(None, None, None, js=static.text("click_file.js"))
        used = {"status": self.status} | panels.subject.outputs
        listen(self.following["use"].click, use_result, [self.result, self.refine], used, **QUICK)
        panels.steer.wire_sliders(self.method.input, panels)

    def wire_masked(self, event: Callable[..., Any], painting: Component, **options: Any) -> Any:
        """Shows what the model sees after an event."""
        return listen(event, show_masked, [painting, self.look], {"masked": self.masked}, **options, **QUICK)

    def wire_linked(self, opening: Any, linked: Component, painting: Component) -> None:
        """Fills what a link asks for, once the page has opened it."""
        self._work(opening, filling.fill_linked, [linked, painting, *self.shown])

    def wire_refill(self, event: Callable[..., Any], panels: Panels, **options: Any) -> None:
        """Fills again after an event of the sliders."""
        inputs, outputs = [self.run, *self.inputs(panels)], {"run": self.run} | self.outputs
        listen(event, filling.refill, inputs, outputs, **options, **QUICK, **COMPUTE)

    @property
    def _pictures(self) -> dict[str, Component]:
        return {"pictures": self.pictures}

    def _work(self, before: Any, work: Callable[..., Any], inputs: list[Component]) -> None:
        """Lets work that shows a result follow an event, and tells the visitor where there was no place for it."""
        working = listen(before.then, work, inputs, self.outputs, **QUICK, **COMPUTE)
        listen(working.failure, filling.turned_away, None, self.outputs, queue=False, **QUICK)


def _choice(choices: list[str], label: str, info: str, name: str) -> gr.Radio:
    return gr.Radio(choices, value=choices[0], label=label, info=info, min_width=180, elem_id=name)


def recall(kept: object) -> Update:
    """The methods that this browser compared last."""
    return {"compared": kept} | _compare_button(kept) if _among_methods(kept) else {}


def choose_compared(chosen: object) -> Update:
    """Remembers in the browser which methods are to be compared."""
    return {"kept": chosen} | _compare_button(chosen) if _among_methods(chosen) else {}


def _among_methods(names: object) -> bool:
    known = [name for _, name in engine.method_choices()]
    return isinstance(names, list) and len(names) <= len(known) and all(name in known for name in names)


def _compare_button(names: object) -> Update:
    count = len(names) if isinstance(names, list) else 0
    return {"compare": gr.update(value="Compare all" if count == len(engine.method_choices()) else f"Compare {count}")}


def show_masked(painting: object, look: object) -> Update:
    """The frame with its hole as the model gets it, or what keeps it from being shown."""
    try:
        content = painter.read(painting)
        if "upload" in content or "trouble" in content:
            return {}
        shown = photo.kept(content.get("photo"))
        mask = painter.to_mask(content, shown.view.size)
        within = mask | shown.preset("full")
        hole = np.ones((FRAME, FRAME), dtype=bool) if within.all() else shown.view_place.frame_mask(within)
    except PageError as error:
        return {"masked": render.trouble(str(error))}
    return {"masked": render.masked_view(shown.frame, hole, look == CRISP)}

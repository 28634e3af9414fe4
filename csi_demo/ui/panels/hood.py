"""Under the hood: what the model sees and draws, and the visitor's hole filled by variants that lack a part."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from ...errors import PageError
from ...pixels import FRAME
from .. import engine, painter, photo, render
from ..engine import MAX_SEED
from ..results import CRISP, IN_FRAME, IN_PHOTO, SMOOTH
from ..subject import read_painting, whole
from ..wiring import Update, listen
from . import COMPUTE, QUICK, Panels

HOOD = """<p>What each part of the model is for: small variants of it, made for 32x32 pictures and trained on as many
each, fill your own hole with the same seed. One lacks a part, another was trained otherwise.</p>"""


class HoodPanel:
    """A fold: the input, how results are to be seen, and the variants where the weights have them."""

    def __init__(self) -> None:
        with gr.Accordion("Under the hood", open=False, elem_id="hood"):
            with gr.Row(elem_id="inner"):
                self.masked = gr.HTML(elem_id="masked")
                with gr.Column():
                    self.where = _choice([IN_PHOTO, IN_FRAME], "Show", "The photo, or what the model drew.", "where")
                    self.refine = gr.Checkbox(
                        True, label="Refine", info="Redraws the fill at the photo's own detail.", elem_id="refine"
                    )
                    self.enlargement = _choice([SMOOTH, CRISP], "Enlargement", "Of the 64 pixels a side.", "look")
            with gr.Column(visible=False, elem_id="ablations") as self.group:
                gr.HTML(HOOD, elem_id="hood-text")
                self.button = gr.Button("Fill the hole with every variant", size="sm", elem_id="variants")
                self.inside = gr.HTML(elem_id="inside")

    @property
    def display(self) -> list[Component]:
        """How results are to be seen: what `results.chosen_display` takes."""
        return [self.enlargement, self.where, self.refine]

    def wire(self, panels: Panels) -> None:
        """What its components and the page's opening do."""
        listen(panels.demo.load, offer, None, {"hood": self.group}, **QUICK)
        self.wire_masked(self.enlargement.change, panels)
        given = [panels.subject.painter, panels.fill.seed]
        listen(self.button.click, side_by_side, given, {"inside": self.inside}, **QUICK, **COMPUTE)

    def wire_masked(self, event: Callable[..., Any], panels: Panels, **options: Any) -> Any:
        """Shows what the model sees after an event."""
        given = [panels.subject.painter, self.enlargement]
        return listen(event, show_masked, given, {"masked": self.masked}, **options, **QUICK)


def _choice(choices: list[str], label: str, info: str, name: str) -> gr.Radio:
    return gr.Radio(choices, value=choices[0], label=label, info=info, min_width=180, elem_id=name)


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


def offer() -> Update:
    """Shows the variants where the weights have them."""
    return {"hood": gr.update(visible=engine.has_variants())}


def side_by_side(painting: object, seed: object) -> Update:
    """The hole as the variants get it and as each of them fills it, with names and what to look for."""
    try:
        painted, number = read_painting(painting), whole(seed, "The seed", 0, MAX_SEED)
        return {"inside": render.variants_view(*engine.variant_fills(painted.subject, number))}
    except ValueError as error:
        return {"inside": render.trouble(str(error))}

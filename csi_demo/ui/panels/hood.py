"""Under the hood: the visitor's own hole, filled by variants that lack a part or were trained otherwise."""

from __future__ import annotations

import gradio as gr

from .. import engine, render
from ..engine import MAX_SEED
from ..subject import read_painting, whole
from ..wiring import Update, listen
from . import COMPUTE, QUICK, Panels

HOOD = """<p>What each part of the model is for: small variants of it, made for 32x32 pictures and trained on as many
each, fill your own hole with the same seed. One lacks a part, another was trained otherwise.</p>"""


class HoodPanel:
    """A fold, shown where the weights have the variants."""

    def __init__(self) -> None:
        with gr.Accordion("Under the hood", open=False, visible=False, elem_id="hood") as self.fold:
            gr.HTML(HOOD, elem_id="hood-text")
            self.button = gr.Button("Fill the hole with every variant", size="sm", elem_id="variants")
            self.inside = gr.HTML(elem_id="inside")

    def wire(self, panels: Panels) -> None:
        """What its button and the page's opening do."""
        listen(panels.demo.load, offer, None, {"hood": self.fold}, **QUICK)
        given = [panels.subject.painter, panels.fill.seed]
        listen(self.button.click, side_by_side, given, {"inside": self.inside}, **QUICK, **COMPUTE)


def offer() -> Update:
    """Shows the fold where the weights have the variants."""
    return {"hood": gr.update(visible=engine.has_variants())}


def side_by_side(painting: object, seed: object) -> Update:
    """The hole as the variants get it and as each of them fills it, with names and what to look for."""
    try:
        painted, number = read_painting(painting), whole(seed, "The seed", 0, MAX_SEED)
        return {"inside": render.variants_view(*engine.variant_fills(painted.subject, number))}
    except ValueError as error:
        return {"inside": render.trouble(str(error))}

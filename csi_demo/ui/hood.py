"""Under the hood: the visitor's own hole, filled by variants that lack a part or were trained otherwise."""

from __future__ import annotations

from typing import Any

import gradio as gr

from . import engine, render
from .engine import MAX_SEED
from .subject import read_subject, whole


def offer() -> Any:
    """Shows the fold where the weights have the variants."""
    return gr.update(visible=engine.has_variants())


def side_by_side(painting: object, seed: object) -> str:
    """The hole as the variants get it and as each of them fills it, with names and what to look for."""
    try:
        subject, number = read_subject(painting), whole(seed, "The seed", 0, MAX_SEED)
        return render.variants_view(*engine.variant_fills(subject.photo.frame, subject.frame_mask, number))
    except ValueError as error:
        return render.trouble(str(error))

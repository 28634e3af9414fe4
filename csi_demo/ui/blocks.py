"""The layout of the page, what calls what, and how it is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr

from .. import masks
from . import handlers, render
from .engine import MAX_CONTROLS, MAX_OPTIONS
from .handlers import BOX, CRISP, MAX_SAMPLES, MAX_SEED, RANDOM, SMOOTH
from .theme import CSS, THEME

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "astronaut.png"
SECONDS_KEPT = 600
COMPUTE: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 2}

TITLE = """<h1>Fill a face, your way</h1>
<p>Cut a hole into a face and let a model paint it in again: sliders say what appears,
the pixels around the hole say how it fits.</p>"""

COLOPHON = """<p><b>How it works.</b> An encoder reads the visible pixels into latents, the sliders change the latents,
and a PixelCNN that sees all visible pixels draws the hole one pixel after another
(Controllable Semantic Inpainting). Every visible pixel stays exactly as it was.</p>
<p>The weights are trained on CelebA: non-commercial research use only.
Uploads are not kept: they are deleted within 20 minutes and never logged.</p>"""

HOLE_LABELS = {
    "left": "Left half",
    "right": "Right half",
    "top": "Upper half",
    "bottom": "Lower half",
    "center": "Centre",
    "full": "Whole picture",
}


def hole_choices() -> list[tuple[str, str]]:
    """(label, name) of every hole a visitor can choose."""
    families = [(HOLE_LABELS.get(name, name.capitalize()), name) for name in masks.BOXES]
    return [*families, ("Random rectangle", RANDOM), ("Box of your own", BOX)]


def build() -> gr.Blocks:
    """The page."""
    with gr.Blocks(title="Fill a face, your way", delete_cache=(SECONDS_KEPT, SECONDS_KEPT)) as demo:
        start, result = gr.State(None), gr.State(None)
        gr.HTML(TITLE, elem_id="title")
        with gr.Row(elem_id="board"):
            with gr.Column(elem_id="subject"):
                with gr.Row(elem_id="pair"):
                    photo = gr.Image(
                        str(EXAMPLE),
                        label="Your picture",
                        type="filepath",
                        image_mode=None,
                        sources=["upload", "webcam", "clipboard"],
                        buttons=[],
                        height=208,
                        elem_id="photo",
                    )
                    masked = gr.HTML(elem_id="masked")
                hole = gr.Dropdown(
                    hole_choices(),
                    value="mouth",
                    label="Hole",
                    info="The part to fill in. Best with a frontal face, eyes a little above the middle.",
                    filterable=False,
                    elem_id="hole",
                )
                random_seed = gr.Number(
                    0,
                    label="Seed of the rectangle",
                    info="Another number, another rectangle.",
                    precision=0,
                    minimum=0,
                    maximum=MAX_SEED,
                    visible=False,
                    elem_id="random-seed",
                )
                with gr.Row(visible=False, elem_id="edges") as box:
                    edges = [
                        gr.Number(value, label=label, info=info, precision=0, minimum=0, maximum=64, min_width=60)
                        for label, info, value in (
                            ("Left", "0 to 63", 16),
                            ("Top", "0 to 63", 16),
                            ("Right", "1 to 64", 48),
                            ("Bottom", "1 to 64", 48),
                        )
                    ]
            with gr.Column(elem_id="results"):
                with gr.Row():
                    seed = gr.Number(
                        0,
                        label="Seed",
                        info="The same seed draws the same picture.",
                        precision=0,
                        minimum=0,
                        maximum=MAX_SEED,
                        min_width=140,
                        elem_id="seed",
                    )
                    samples = gr.Slider(
                        1,
                        MAX_SAMPLES,
                        2,
                        step=1,
                        label="Samples",
                        info="How many different fills.",
                        buttons=[],
                        min_width=180,
                        elem_id="samples",
                    )
                    look = gr.Radio(
                        [SMOOTH, CRISP],
                        value=SMOOTH,
                        label="Enlargement",
                        info="How 64 pixels become 384.",
                        min_width=180,
                        elem_id="look",
                    )
                with gr.Row():
                    go = gr.Button("Fill the hole", variant="primary", min_width=160, scale=3, elem_id="fill")
                    halt = gr.Button("Stop", variant="stop", interactive=False, min_width=80, scale=1, elem_id="stop")
                status = gr.HTML(elem_id="status")
                pictures = gr.HTML(render.empty_view(), elem_id="pictures")
            with gr.Column(elem_id="steer"):
                method = gr.Dropdown(
                    [], label="Method", info="The way of filling the hole.", visible=False, elem_id="method"
                )
                note = gr.HTML(render.plain_line("Loading the model…"), elem_id="note")
                sliders = [
                    gr.Slider(visible=False, buttons=[], elem_id=f"slider-{number}")
                    for number in range(MAX_CONTROLS + MAX_OPTIONS)
                ]
                reset = gr.Button("Reset sliders", size="sm", elem_id="reset")
        gr.HTML(COLOPHON, elem_id="colophon")

        subject: list[Any] = [hole, random_seed, *edges]
        quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}
        masked_inputs = [photo, look, *subject]
        slider_inputs, slider_outputs = [method, photo, *subject], [start, note, *sliders]

        demo.load(handlers.show_masked, masked_inputs, masked, **quick)
        demo.load(handlers.choose_methods, None, method, **quick).then(
            handlers.draw_sliders, slider_inputs, slider_outputs, **quick, **COMPUTE
        )
        hole.change(handlers.choose_hole, hole, [random_seed, box], queue=False, **quick)
        gr.on(
            [photo.input, *(component.change for component in subject)],
            handlers.show_masked,
            masked_inputs,
            masked,
            trigger_mode="always_last",
            **quick,
        ).then(handlers.draw_sliders, slider_inputs, slider_outputs, **quick, **COMPUTE)
        method.input(handlers.draw_sliders, slider_inputs, slider_outputs, **quick, **COMPUTE)
        look.change(handlers.show_masked, masked_inputs, masked, **quick)
        look.change(handlers.show_result, [result, look], pictures, **quick)
        reset.click(handlers.reset_sliders, start, sliders, queue=False, **quick)
        filling = go.click(handlers.begin, None, [status, go, halt], queue=False, **quick).then(
            handlers.fill,
            [method, photo, look, start, seed, samples, *subject, *sliders],
            [pictures, status, result, go, halt],
            **quick,
            **COMPUTE,
        )
        halt.click(handlers.stop, result, [status, go, halt], cancels=filling, **quick).then(
            handlers.show_result, [result, look], pictures, **quick
        )
    return demo.queue(max_size=32, api_open=False, default_concurrency_limit=4)


def launch_options() -> dict[str, Any]:
    """How the page is served; PORT, GRADIO_SERVER_PORT and GRADIO_SERVER_NAME are respected."""
    return {
        "server_name": os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        "server_port": int(os.environ.get("PORT") or os.environ.get("GRADIO_SERVER_PORT") or 7860),
        "theme": THEME,
        "css": CSS,
        "footer_links": ["gradio", "settings"],
        "allowed_paths": [],
        "max_file_size": "25mb",
        "state_session_capacity": 256,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
    }

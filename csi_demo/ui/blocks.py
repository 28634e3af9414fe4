"""The layout of the page, what calls what, and how it is served."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.state_holder import SessionState
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse
from starlette.routing import Route

from . import api, engine, filling, handlers, hood, painter, render, results, traversing
from .engine import FIRST_CONTROLS, MAX_CONTROLS, MAX_SAMPLES, MAX_SEED
from .examples import all_examples
from .results import CRISP, IN_FRAME, IN_PHOTO, SMOOTH
from .server.guard import Guard
from .server.mailboxes import Mailboxes
from .theme import CSS, EMBEDDED, THEME

MAX_VALUE = 2 * painter.MAX_LENGTH  # characters of a component's value
COMPONENT = "/component.js"
COMPUTE: dict[str, Any] = {"concurrency_id": "compute", "concurrency_limit": 2}

# The hidden download link appears a moment after the file's address has arrived.
CLICK_FILE = """() => {
  setTimeout(() => document.querySelector("#file")?.closest("a, button")?.click(), 100);
}"""

TITLE = """<h1>Fill a face, your way</h1>
<p>Paint a hole into the photo of a face and let a model paint it in again: sliders say what appears,
the pixels around the hole say how it fits.</p>"""

HOOD = """<p>What each part of the model is for: small variants of it, made for 32x32 pictures and trained on as many
each, fill your own hole with the same seed. One lacks a part, another was trained otherwise.</p>"""

COLOPHON = """<p><b>How it works.</b> An encoder reads the visible pixels into latents, the sliders change the latents,
and a PixelCNN that sees all visible pixels draws the hole one pixel after another
(Controllable Semantic Inpainting). Every visible pixel stays exactly as it was.</p>
<p>The weights are trained on CelebA: non-commercial research use only.
Photos are not kept: they live in memory alone, for at most 20 minutes after their last use, and are never logged;
files made for a download are deleted within 20 minutes.</p>"""


class Page(gr.Blocks):
    """Blocks that look at what a call brings before Gradio does, and keep nothing of it in the visitor's session.

    A short call gets the endpoint's defaults, where Gradio would log what was sent.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        missing = block_fn.inputs[len(inputs) :]
        if not all(isinstance(one, Api) for one in missing):
            raise gr.Error("Values are missing in this call.", print_exception=False)
        for block, value in zip(block_fn.inputs, inputs, strict=False):
            if not isinstance(block, Api) and not _is_plain(value):
                raise gr.Error("This is nothing that the page sends.", print_exception=False)
        inputs.extend(one.value for one in missing)

    async def preprocess_data(self, *values: Any, **options: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*values, **options)
        finally:
            self._forget(values)

    async def postprocess_data(self, *values: Any, **options: Any) -> list[Any]:
        try:
            return await super().postprocess_data(*values, **options)
        finally:
            self._forget(values)

    def _forget(self, values: tuple[Any, ...]) -> None:
        """Drops what Gradio keeps of a session beside its states: the page with all values, photo and fills among them,
        for deep links, and every component that an event changed, for preprocessing, which this page does without."""
        for state in values:
            if isinstance(state, SessionState):
                state.config_values.clear()
                state.blocks_config.blocks.update(self.default_config.blocks)


def _is_plain(value: object) -> bool:
    """Whether a component of the page could have it: a text, a number, a switch or nothing."""
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MAX_VALUE)


def build() -> gr.Blocks:
    """The page."""
    with Page(title="Fill a face, your way") as demo:
        start, run, result, linked = (gr.State(None) for _ in range(4))
        gr.HTML(TITLE, elem_id="title")
        with gr.Row(elem_id="board"):
            with gr.Column(elem_id="subject"):
                canvas = painter.painter()
                face = gr.Radio(
                    [],
                    label="Face",
                    info="Which of the numbered faces is filled in.",
                    visible=False,
                    elem_id="face",
                )
                with gr.Accordion("Place the square", open=False, elem_id="place"), gr.Row():
                    place = [
                        gr.Number(value, label=label, info=info, min_width=60, elem_id=f"place-{label.lower()}")
                        for label, info, value in (
                            ("X", "of its centre", 0),
                            ("Y", "of its centre", 0),
                            ("Size", "photo pixels", 64),
                            ("Turn", "degrees", 0),
                        )
                    ]
                examples = gr.HTML(
                    render.example_strip((one.thumbnail(), one.title) for one in all_examples()),
                    js_on_load=render.EXAMPLES_JS,
                    apply_default_css=False,
                    elem_id="examples",
                )
            with gr.Column(elem_id="results"):
                with gr.Row(elem_id="pair"):
                    masked = gr.HTML(elem_id="masked")
                    with gr.Column():
                        seed = gr.Number(
                            0,
                            label="Seed",
                            info="The same seed draws the same picture.",
                            precision=0,
                            minimum=0,
                            maximum=MAX_SEED,
                            min_width=120,
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
                            min_width=120,
                            elem_id="samples",
                        )
                method = gr.Radio(
                    engine.method_choices(),
                    value=engine.method_choices()[0][1],
                    label="Method",
                    info="The way of filling the hole.",
                    elem_id="method",
                )
                with gr.Row(elem_id="run"):
                    go = gr.Button("Fill the hole", variant="primary", min_width=110, scale=3, elem_id="fill")
                    every = gr.Button("Compare all", min_width=100, scale=2, elem_id="compare")
                    halt = gr.Button("Stop", variant="stop", interactive=False, min_width=60, scale=1, elem_id="stop")
                status = gr.HTML(elem_id="status")
                pictures = gr.HTML(
                    render.empty_view(), js_on_load=render.RESULTS_JS, apply_default_css=False, elem_id="pictures"
                )
                with gr.Row(elem_id="follow"):
                    save, strip, moving, reuse = (
                        gr.Button(label, size="md", interactive=False, min_width=width, scale=width, elem_id=name)
                        for label, width, name in (
                            ("Download full size", 140, "save"),
                            ("Strip", 60, "strip"),
                            ("GIF", 60, "gif"),
                            ("Use as the photo", 130, "use"),
                        )
                    )
                file = gr.DownloadButton("Download", elem_id="file")
                with gr.Row():
                    where = gr.Radio(
                        [IN_PHOTO, IN_FRAME],
                        value=IN_PHOTO,
                        label="Show",
                        info="The photo, or what the model drew.",
                        min_width=180,
                        elem_id="where",
                    )
                    look = gr.Radio(
                        [SMOOTH, CRISP],
                        value=SMOOTH,
                        label="Enlargement",
                        info="How 64 pixels become 384.",
                        min_width=180,
                        elem_id="look",
                    )
            with gr.Column(elem_id="steer"):
                note = gr.HTML(
                    render.plain_line("Loading the model…"),
                    js_on_load=render.SLIDERS_JS,
                    apply_default_css=False,
                    elem_id="note",
                )
                with gr.Row(elem_id="main"):
                    slots = [_slot(name) for name in engine.SLOT_IDS[:FIRST_CONTROLS]]
                with gr.Accordion("More controls", open=False, visible=False, elem_id="more") as more, gr.Row():
                    slots += [_slot(name) for name in engine.SLOT_IDS[FIRST_CONTROLS:MAX_CONTROLS]]
                with gr.Row(elem_id="options"):
                    slots += [_slot(name) for name in engine.SLOT_IDS[MAX_CONTROLS:]]
                with gr.Row(elem_id="moves"):
                    lucky = gr.Button("Surprise me", size="sm", visible=False, elem_id="surprise")
                    reset = gr.Button("Reset all", size="sm", elem_id="reset")
                with gr.Accordion("What the sliders do", open=False, visible=False, elem_id="traversal") as shows:
                    with gr.Row():
                        pair = [
                            gr.Dropdown([], label=label, info=info, min_width=120, elem_id=f"traverse-{number}")
                            for number, (label, info) in enumerate(
                                (("Control", "from top to bottom"), ("against", "from left to right"))
                            )
                        ]
                    with gr.Row():
                        rows = gr.Button("One by one", size="sm", elem_id="rows")
                        grid = gr.Button("The two together", size="sm", elem_id="grid")
                    sheet = gr.HTML(elem_id="sheet")
        with gr.Accordion("Under the hood", open=False, visible=False, elem_id="hood") as under:
            gr.HTML(HOOD, elem_id="hood-text")
            parts = gr.Button("Fill the hole with every variant", size="sm", elem_id="variants")
            inside = gr.HTML(elem_id="inside")
        gr.HTML(COLOPHON, elem_id="colophon")

        quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private", "preprocess": False}
        placed = [canvas, face, *place]
        example_outputs = [*placed, seed, samples, method]
        slot_inputs = [method, canvas]
        slot_outputs = [start, note, lucky, more, shows, *pair, *slots]
        controls = [status, go, every, halt]
        outputs = [pictures, status, result, go, every, halt, save, strip, moving, reuse]

        demo.load(handlers.open_page, None, [*example_outputs, status, linked], **quick).then(
            filling.fill_linked, [linked, canvas, look, where], outputs, **quick, **COMPUTE
        ).failure(filling.turned_away, None, outputs, queue=False, **quick)
        demo.load(hood.offer, None, under, **quick)
        examples.select(handlers.choose_example, None, example_outputs, **quick)
        canvas.upload(handlers.take_upload, canvas, placed, **quick)
        face.input(handlers.choose_face, [canvas, face], placed, **quick)
        gr.on(
            [number.input for number in place],
            handlers.place_by_hand,
            [canvas, *place],
            [canvas, face],
            trigger_mode="always_last",
            **quick,
        )
        canvas.input(handlers.show_masked, [canvas, look], masked, trigger_mode="always_last", **quick).then(
            handlers.draw_sliders, slot_inputs, slot_outputs, trigger_mode="always_last", **quick, **COMPUTE
        )
        method.input(handlers.draw_sliders, slot_inputs, slot_outputs, trigger_mode="always_last", **quick, **COMPUTE)
        look.change(handlers.show_masked, [canvas, look], masked, **quick)
        gr.on([look.change, where.change], results.show_result, [result, look, where], pictures, **quick)
        pictures.select(results.choose_sample, [result, look, where], pictures, **quick)
        for button, work, needed in (
            (go, filling.fill, [method, canvas, look, where, start, seed, samples, *slots]),
            (every, filling.compare, [method, canvas, look, where, start, seed, *slots]),
        ):
            button.click(filling.begin, run, [run, *controls], queue=False, **quick).then(
                filling.stoppable(work), [run, *needed], outputs, **quick, **COMPUTE
            ).failure(filling.turned_away, None, outputs, queue=False, **quick)
        moves = [slot.input for slot in slots]
        gr.on(moves, filling.outdate, [run, method], None, queue=False, **quick)
        refilled: dict[str, Any] = {
            "inputs": [run, method, canvas, look, where, start, seed, samples, *slots],
            "outputs": [run, *outputs],
        }
        gr.on(moves, filling.refill, **refilled, trigger_mode="always_last", **quick, **COMPUTE)
        reset.click(handlers.reset_sliders, start, slots, queue=False, **quick).then(
            filling.refill, **refilled, **quick, **COMPUTE
        )
        lucky.click(handlers.surprise, [start, canvas], slots, **quick, **COMPUTE).then(
            filling.refill, **refilled, **quick, **COMPUTE
        )
        rows.click(traversing.one_by_one, [start, canvas, seed], sheet, **quick, **COMPUTE)
        grid.click(traversing.two_together, [start, canvas, seed, *pair], sheet, **quick, **COMPUTE)
        parts.click(hood.side_by_side, [canvas, seed], inside, **quick, **COMPUTE)
        halt.click(filling.stop, run, halt, queue=False, **quick)
        for button, handler, inputs in (
            (save, results.save, [result]),
            (strip, results.save_strip, [result, look]),
            (moving, results.save_animation, [result, look]),
        ):
            button.click(handler, inputs, [status, file], **quick).success(None, None, None, js=CLICK_FILE)
        reuse.click(handlers.use_result, result, [status, *placed], **quick)

        gr.api(api.complete, **COMPUTE)
        gr.api(api.compare, **COMPUTE)
        gr.api(api.list_methods, queue=False)
        gr.api(api.list_controls, queue=False)
    demo.queue(max_size=32, api_open=False, default_concurrency_limit=4)
    demo._queue.pending_messages_per_session = Mailboxes(demo._queue)
    demo._queue.ANALYTICS_MAX_EVENTS = 0  # of a dashboard that is off: a table of all events, made anew after each
    return demo


def _slot(name: str) -> gr.Slider | gr.Checkbox:
    if name.startswith("switch-"):
        return gr.Checkbox(visible=False, elem_id=name)
    return gr.Slider(visible=False, buttons=["reset"], elem_id=name)


def launch_options() -> dict[str, Any]:
    """How the page is served; PORT, GRADIO_SERVER_PORT and GRADIO_SERVER_NAME are respected."""
    return {
        "server_name": os.environ.get("GRADIO_SERVER_NAME", "127.0.0.1"),
        "server_port": int(os.environ.get("PORT") or os.environ.get("GRADIO_SERVER_PORT") or 7860),
        "theme": THEME,
        "css": CSS,
        "head": EMBEDDED,
        "footer_links": ["api", "gradio", "settings"],
        "allowed_paths": [],
        "max_file_size": "25mb",
        "state_session_capacity": 256,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "mcp_server": True,
        "app_kwargs": {"middleware": [Middleware(Guard)], "routes": [Route(COMPONENT, _component)]},
    }


def _component(request: Request) -> FileResponse:
    """The script that other sites load for `<gradio-app>`: the page's own, so that it is of the same version."""
    return FileResponse(Path(gr.__file__).parent / "templates/frontend/gradio.js", media_type="text/javascript")

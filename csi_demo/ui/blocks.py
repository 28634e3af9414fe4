"""The page: its panels, its endpoints, and how it is served."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from . import api
from .panels import COMPUTE, Panels
from .panels.edit import EditPanel
from .panels.fill import FillPanel
from .panels.hood import HoodPanel
from .panels.several import SeveralPanel
from .panels.shown import ShownPanel
from .panels.steer import SteerPanel
from .panels.subject import SubjectPanel
from .photo import KEPT_MINUTES
from .server import process
from .server.guard import MAX_FILE, Guard
from .server.mailboxes import Mailboxes
from .server.opening import ROUTES, Opening
from .server.page import Page
from .server.tools import speak, told_whole
from .theme import CSS, THEME

TITLE = """<h1>Fill a face, your way</h1>
<p>Paint over a part of a face, fill it in, and steer what appears.</p>"""

HOW_FILL = """<p><b>How it works.</b> An encoder reads the visible pixels into latents, the sliders change the latents,
and a PixelCNN that sees all visible pixels draws the hole one pixel after another
(Controllable Semantic Inpainting). Every visible pixel stays exactly as it was.</p>"""
HOW_EDIT = """<p><b>How it works.</b> The brush does not paint the photo. It moves the latents of a generative model
until the model's own picture of the face has the colour there, and what has changed in that picture is added to the
photo (Neural Photo Editing with Introspective Adversarial Networks).</p>"""
COLOPHON = f"""<p>The weights are trained on CelebA: non-commercial research use only.
Photos are not kept: they live in memory alone, for at most {KEPT_MINUTES} minutes after their last use, and are never
logged; files made for a download are deleted within 20 minutes.</p>"""


def build() -> gr.Blocks:
    """The page."""
    with Page(title="Fill a face, your way") as demo:
        gr.HTML(TITLE, elem_id="title")
        with gr.Tabs(selected="fill", elem_id="tabs") as tabs:
            with gr.Tab("Fill", id="fill", elem_id="fill-tab"):
                with gr.Row(elem_id="board"):
                    with gr.Column(elem_id="left"):
                        subject, shown, several = SubjectPanel(), ShownPanel(), SeveralPanel()
                    with gr.Column(elem_id="right"):
                        fill, steer = FillPanel(), SteerPanel()
                        shown.draw_taking()
                        with gr.Accordion("Method and settings", open=False, elem_id="settings"):
                            fill.draw_settings()
                            steer.draw_options()
                            shown.draw_format()
                        subject.draw_place()
                shown.draw_visit()
                subject.draw_examples()
                steer.draw_shows()
                panels = Panels(demo, subject, shown, fill, steer, HoodPanel(), several)
                gr.HTML(HOW_FILL, elem_id="how-fill")
            with gr.Tab("Edit", id="edit", elem_id="edit-tab") as edit_tab:
                edit = EditPanel()
                gr.HTML(HOW_EDIT, elem_id="how-edit")
        gr.HTML(COLOPHON, elem_id="colophon")
        panels.wire()
        edit.wire_tab(panels, tabs, edit_tab)
        gr.api(told_whole(api.complete), **COMPUTE)
        gr.api(told_whole(api.compare), **COMPUTE)
        gr.api(told_whole(api.edit), **COMPUTE)
        gr.api(told_whole(api.list_methods), queue=False)
        gr.api(told_whole(api.list_controls), queue=False)
    demo.queue(max_size=32, api_open=False, default_concurrency_limit=4)
    demo._queue.pending_messages_per_session = Mailboxes(demo._queue)
    demo._queue.ANALYTICS_MAX_EVENTS = 0  # of a dashboard that is off: a table of all events, made anew after each
    return demo


def launch_options() -> dict[str, Any]:
    """How the page is served."""
    speak()
    return {
        "server_name": process.host(),
        "server_port": process.port(),
        "root_path": process.root_path(),
        "theme": THEME,
        "css": CSS,
        "footer_links": ["api", "gradio", "settings"],
        "allowed_paths": [],
        "max_file_size": MAX_FILE,
        "state_session_capacity": 256,
        "show_error": False,
        "enable_monitoring": False,
        "run_history": False,
        "ssr_mode": False,
        "mcp_server": True,
        "app_kwargs": {"middleware": [Middleware(Guard), Middleware(Opening)], "routes": [*ROUTES]},
    }

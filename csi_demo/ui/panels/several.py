"""Several photos at once, where a visitor chose or dropped more than one."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from typing import Any

import gradio as gr
from gradio.components import Component

from ...errors import PageError
from .. import several, static
from ..wiring import Update, listen, said
from . import COMPUTE, QUICK, Panels
from .subject import PRESETS


class SeveralPanel:
    """Below the photo, once several photos were chosen: the hole by its name, what was filled, and a ZIP file."""

    def __init__(self) -> None:
        self.photos = gr.State(None)  # the key of a `several.Several`
        script = static.text("several.js", MOST=several.MOST)
        self.sending = gr.HTML(None, js_on_load=script, apply_default_css=False, elem_id="sending")
        with gr.Column(visible=False, elem_id="several") as self.column:
            with gr.Row(elem_id="several-row"):
                choices = list(PRESETS.items())
                self.hole = gr.Dropdown(
                    choices, value="mouth", label="Hole", info="The same in every photo.", elem_id="several-hole"
                )
                self.fill = gr.Button("Fill all photos", variant="primary", elem_id="several-fill")
                self.stop = gr.Button("Stop", interactive=False, elem_id="several-stop")
                self.zip = gr.Button("ZIP", interactive=False, elem_id="several-zip")
            self.filled = gr.HTML(None, apply_default_css=False, elem_id="several-filled")

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        buttons: dict[str, Component] = {"fill": self.fill, "stop": self.stop, "zip": self.zip}
        here: dict[str, Component] = {"filled": self.filled} | buttons
        taken: dict[str, Any] = here | {"several": self.photos, "column": self.column}
        listen(self.sending.upload, take, [self.sending, self.photos], taken, **QUICK)
        given = [self.photos, self.hole, panels.shown.kind, *panels.fill.inputs(panels)]
        listen(self.fill.click, fill, given, here, **QUICK, **COMPUTE)
        listen(self.stop.click, stop, self.photos, here, queue=False, **QUICK)
        saved = listen(self.zip.click, save, self.photos, here | {"file": panels.shown.file}, **QUICK)
        saved.success(None, None, None, js=static.text("click_file.js"))


def take(value: object, before: object) -> Update:
    """Shows that several photos have come."""
    shown = {"column": gr.update(visible=True)}
    try:
        return shown | several.take(value, before)
    except PageError as error:
        return shown | {"filled": _wrong(error)} | several.works()


def fill(*values: Any) -> Generator[Update]:
    """Fills them all."""
    try:
        yield from several.fill(*values)
    except ValueError as error:
        yield {"filled": _wrong(error)} | several.works(fill=True)


def stop(key: object) -> Update:
    """Leaves out the photo under way and those whose turn has not come."""
    with suppress(PageError):
        several.stop(key)
    return {}


def save(key: object) -> Update:
    """What was filled, as one file."""
    try:
        return {"file": str(several.zip_file(key))}
    except PageError as error:
        return {"filled": _wrong(error), "file": None}


def _wrong(error: Exception) -> str:
    return f'<p class="csi-trouble" role="alert">{said(error, "several photos")}</p>'

"""What has come of a fill: its samples to choose from, what can be taken away, and the results of this visit."""

from __future__ import annotations

from dataclasses import replace

import gradio as gr
from gradio.components import Component

from ...errors import PageError
from ...pixels import png
from .. import filling, photo, render, results, sharing, static
from ..downloads import KINDS, LIKE_PHOTO
from ..results import finished_result
from ..wiring import Update, any_of, listen
from . import COMPUTE, QUICK, Panels
from .subject import show_photo


class ShownPanel:
    """The samples, below the photo; where `draw_taking` is called, downloads and links; where `draw_visit` is, the
    results of this visit."""

    def __init__(self) -> None:
        self.result = gr.State(None)  # the key of what `photo.KEPT` has of the result that is shown
        self.pictures = gr.HTML(None, js_on_load=static.text("results.js"), apply_default_css=False, elem_id="pictures")

    def draw_taking(self) -> None:
        """Downloads, the link, and the result as the next photo."""
        with gr.Row(elem_id="follow"):
            self.following = {
                name: gr.Button(label, size="md", interactive=False, min_width=width, scale=width, elem_id=name)
                for label, width, name in (
                    ("Download", 110, "save"),
                    ("ZIP", 50, "bundle"),
                    ("Strip", 60, "strip"),
                    ("GIF", 60, "gif"),
                    ("Use as photo", 110, "use"),
                )
            }
        self.share = gr.HTML(None, js_on_load=static.text("share.js"), apply_default_css=False, elem_id="share")
        self.file = gr.DownloadButton("Download", visible="hidden", elem_id="file")
        self.outputs: dict[str, Component] = {
            "pictures": self.pictures,
            "share": self.share,
            "result": self.result,
        } | self.following

    def draw_format(self) -> None:
        """What files are to be."""
        self.kind = gr.Radio(
            list(KINDS),
            value=LIKE_PHOTO,
            label="Download as",
            info="Only PNG keeps every pixel of the photo exactly.",
            elem_id="kind",
        )

    def draw_visit(self) -> None:
        """A strip of thumbnails and, where they are wanted in large, the fills; empty at first."""
        script = static.text("history.js", KEPT_RESULTS=filling.KEPT_RESULTS)
        self.visit = gr.HTML(None, js_on_load=script, apply_default_css=False, elem_id="visit")
        self.beside = gr.HTML(None, apply_default_css=False, elem_id="beside")

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        display, pictures = panels.hood.display, {"pictures": self.pictures}
        status: dict[str, Component] = {"status": panels.fill.status}
        shown = [self.result, *display]
        changes = any_of(component.change for component in display)  # type: ignore[attr-defined]
        listen(changes, results.show_result, shown, pictures, **QUICK)
        listen(self.pictures.select, results.choose_sample, shown, pictures | {"share": self.share}, **QUICK)
        refine = panels.hood.refine
        for name, handler, inputs in (
            ("save", results.save, [self.result, refine, self.kind]),
            ("bundle", results.save_all, [self.result, panels.hood.enlargement, refine, self.kind]),
            ("strip", results.save_strip, [self.result, panels.hood.enlargement]),
            ("gif", results.save_animation, [self.result, panels.hood.enlargement]),
        ):
            saved = listen(self.following[name].click, handler, inputs, {"file": self.file} | status, **QUICK)
            saved.success(None, None, None, js=static.text("click_file.js"))
        used = status | panels.subject.outputs
        listen(self.following["use"].click, use_result, [self.result, refine], used, **QUICK)
        fill = panels.fill
        settings = {"seed": fill.seed, "samples": fill.samples, "method": fill.method}
        back = used | self.outputs | settings | {"run": fill.run}
        beside = {"beside": self.beside}
        listen(self.visit.apply, results.in_large, panels.hood.refine, beside, **QUICK, **COMPUTE)
        listen(self.visit.select, go_back, [panels.fill.run, *display], back, **QUICK)


def use_result(key: object, refine: object) -> Update:
    """Makes the chosen sample of a result the photo; an undo brings the photo before back."""
    try:
        result = finished_result(key)
        picture = photo.from_bytes(png(result.full(refine is not False), quickly=True), like=result.photo)
    except ValueError as error:
        return {"status": render.trouble(str(error))}
    line = render.plain_line(
        "The result is the photo now. Paint the next hole, or undo to go back.", f"{picture.key} 0"
    )
    return {"status": line} | show_photo(picture, undoable=True)


def go_back(run: object, enlargement: object, where: object, refine: object, event: gr.EventData) -> Update:
    """Shows an earlier result of this visit again, with its photo, its hole and its sliders."""
    try:
        key = results.earlier_key(event)
        result = finished_result(key)
        mask = result.subject.mask
        picture = photo.keep(replace(result.photo, suggestion=(mask, result.settings)))
    except PageError as error:
        return {"status": render.trouble(str(error))}
    filling.end_steering(run)
    update = show_photo(picture, mask=mask, edit=result.edit) | results.show_result(key, enlargement, where, refine)
    if not result.compared:
        update |= {"seed": result.seeds[0], "samples": len(result.seeds), "method": result.method}
    line = render.plain_line("An earlier result of this visit.", result.mark)
    return update | {"result": key, "share": sharing.share_view(result), "status": line, "run": run}

"""The photo editor: a brush that paints with a model, on the photo and square in which holes are filled."""

from __future__ import annotations

from typing import Any

import anyio
import gradio as gr
from gradio.processing_utils import save_bytes_to_cache
from gradio.utils import get_upload_folder

from ...errors import PageError
from ...pixels import png
from .. import editing, painter, photo, render, sharing, static
from ..examples import Example, edit_link
from ..subject import read_photo
from ..wiring import Update, any_of, listen
from . import COMPUTE, QUICK, Panels
from .subject import show_photo, take_upload

AT_ONCE = anyio.CapacityLimiter(2)  # moves of the brush that are worked on, apart from fills
MOST_WAITING = 40  # a page sends one at a time
BUSY = "Too many people edit at the moment. Please try again in a minute."
SCRIPTS = ("stage.js", "editor.js", "editor_talk.js")
FACES = "The editor works on the face that is chosen in the other tab."


class EditPanel:
    """The editor's canvas, tools and sliders, which are one component, and examples."""

    def __init__(self) -> None:
        self.session = gr.State(None)  # the key of an `editing.Session`
        self.editor = gr.HTML(
            None,
            html_template=static.text("editor.html", CORNER=static.text("corner.html")),
            js_on_load="".join(static.text(name, MAX_BYTES=photo.MAX_BYTES) for name in SCRIPTS),
            server_functions=[move],
            apply_default_css=False,
            elem_id="editor",
        )
        self.share = gr.HTML(None, js_on_load=static.text("share.js"), apply_default_css=False, elem_id="edit-share")
        self.examples = gr.HTML(
            render.example_strip((editing.thumbnail(ready), ready.title) for ready in editing.ready_edits()),
            js_on_load=static.text("examples.js"),
            apply_default_css=False,
            elem_id="edits",
        )
        self.file = gr.DownloadButton("Download", visible="hidden", elem_id="edit-file")

    def wire_tab(self, panels: Panels, tabs: gr.Tabs, tab: gr.Tab) -> None:
        """What its components do, and what opening its tab does, which is one of the tabs."""
        subject = panels.subject
        here = {"session": self.session, "editor": self.editor, "share": self.share}
        both: dict[str, Any] = here | subject.outputs
        opening = any_of((tab.select, self.editor.click))
        listen(opening, open_edit, [subject.painter, self.session], here, **QUICK, **COMPUTE)
        listen(self.editor.upload, take_photo, [self.editor, self.session], both, **QUICK, **COMPUTE)
        listen(self.examples.select, choose_edit, self.session, both, **QUICK, **COMPUTE)
        saved = {"editor": self.editor, "file": self.file}
        made = listen(self.editor.submit, save, self.session, saved, **QUICK, **COMPUTE)
        made.success(None, None, None, js=static.text("click_file.js").replace("#file", "#edit-file"))
        for linked in subject.openings:
            given = [subject.edit, subject.painter, self.session]
            listen(linked.then, open_linked, given, both | {"tabs": tabs}, **QUICK, **COMPUTE)
        carried: dict[str, Any] = {"editor": self.editor, "tabs": tabs} | subject.outputs
        listen(self.editor.select, carry, self.session, carried, **QUICK, **COMPUTE)


def open_edit(painting: object, key: object) -> Update:
    """Opens the photo that the other tab shows, unless the session is on it already."""
    if not painting:
        return {"editor": editing.not_yet()}
    try:
        return _opened(read_photo(painting), key)
    except PageError as error:
        return {"editor": editing.trouble(str(error))}


async def move(value: object) -> str:
    """What a move of the brush, of a slider, or a button does. Asked for past the queue of events, whose two requests
    and a stream would take as long as the drawing."""
    if AT_ONCE.statistics().tasks_waiting >= MOST_WAITING:
        return editing.trouble(BUSY)
    return await anyio.to_thread.run_sync(editing.act, value, limiter=AT_ONCE)


def take_photo(value: object, key: object) -> Update:
    """Opens a photo that has just been sent, in both tabs."""
    taken = take_upload(value)
    content = painter.read(taken["painter"])
    if "trouble" in content:
        return {"editor": editing.trouble(content["trouble"])}
    return taken | open_edit(taken["painter"], key)


def open_linked(edit: object, painting: object, key: object) -> Update:
    """Opens this tab where a link asks for it, on the link's photo or one of the examples."""
    if not isinstance(edit, int):
        return {}
    return {"tabs": gr.update(selected="edit")} | (open_ready(edit, key) or open_edit(painting, key))


def choose_edit(key: object, event: gr.EventData) -> Update:
    """Opens the example that was clicked."""
    return open_ready(event._data.get("index") if isinstance(event._data, dict) else None, key)


def open_ready(index: object, key: object) -> Update:
    """Opens an example in both tabs, and draws its strokes; nothing for what is none."""
    if not isinstance(index, int) or not 0 <= index < len(editing.ready_edits()):
        return {}
    ready = editing.ready_edits()[index]
    try:
        picture, _ = Example(photo=ready.photo, title=ready.title, hole="mouth").open()
        return show_photo(picture) | _opened(picture, key, ready)
    except ValueError as error:
        return {"editor": editing.trouble(str(error))}


def save(key: object) -> Update:
    """The edited photo at its own size, as a file to download."""
    try:
        session = editing.kept_session(key)
        content = png(editing.finished(session), quickly=True)
    except ValueError as error:
        return {"editor": editing.trouble(str(error)), "file": None}
    return {"file": save_bytes_to_cache(content, "csi-edit.png", get_upload_folder())}


def carry(key: object) -> Update:
    """Makes the edited photo the one that holes are filled in, and goes there."""
    there = {"tabs": gr.update(selected="fill")}
    try:
        session = editing.kept_session(key)
        if not editing.changed(session):
            return there
        content = png(editing.finished(session), quickly=True)
        return there | show_photo(photo.from_bytes(content, like=session.photo))
    except ValueError as error:
        return {"editor": editing.trouble(str(error))}


def _opened(picture: photo.Photo, key: object, ready: editing.Ready | None = None) -> Update:
    """Shows a session on a photo, the one of this key if it is on it and nothing else is wanted. Raises PageError or
    EditError."""
    before = photo.KEPT.get(key)
    if ready is None and isinstance(before, editing.Session) and before.of(picture):
        return {"editor": editing.first_view(before)}
    session = editing.opened(picture)
    if isinstance(before, editing.Session):
        photo.KEPT.drop(before.key)
    edit = -1
    if ready:
        edit = editing.ready_edits().index(ready)
        editing.draw_ready(session, ready)
        session.note = f"{ready.title}. Paint on, or take it back with Undo."
    elif not picture.faces:
        session.note = photo.NO_FACE
    elif len(picture.faces) > 1:
        session.note = FACES
    share = sharing.edit_view(edit_link(picture, edit))
    return {"session": session.key, "editor": editing.first_view(session), "share": share}

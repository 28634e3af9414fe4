"""The photo: choosing one, a face in it, the place of the square, an example; the hole is painted in `painter`."""

from __future__ import annotations

import json
from collections.abc import Callable

import gradio as gr
import numpy as np
from gradio.components import Component

from ...errors import PageError
from .. import data_url, painter, photo, render, static
from ..examples import Example, all_examples, edit_from_link, from_link, read_query
from ..photo import Photo
from ..subject import read_photo
from ..wiring import Update, any_of, listen
from . import QUICK, Panels

PRESETS = {
    "Eyes": "eyes",
    "Nose": "nose",
    "Mouth": "mouth",
    "Left half": "left",
    "Right half": "right",
    "Upper half": "top",
    "Lower half": "bottom",
    "Centre": "center",
    "All": "full",
}
FIRST_HOLE = "mouth"  # of a visitor's photo in which a face was found
PLACE = (  # label, help and value of the square's four numbers
    ("X", "of its centre", 0),
    ("Y", "of its centre", 0),
    ("Size", "photo pixels", 64),
    ("Turn", "degrees", 0),
)


class SubjectPanel:
    """The photo with its painter, and what goes with it where it is called for: the numbers of the square's place, and
    the examples."""

    def __init__(self) -> None:
        with gr.Column(elem_id="subject"):
            self.painter = painter.painter()
            self.face = gr.Radio(
                [], label="Face", info="Which of the numbered faces is filled in.", visible=False, elem_id="face"
            )
        self.linked = gr.State(None)  # the example that a link asks for
        self.edit = gr.State(None)  # where a link asks for the other tab: the number of an edit there, or -1 for none

    def draw_place(self) -> None:
        """The square's place in numbers, for those who do not drag it."""
        with gr.Accordion("Place the square by numbers", open=False, elem_id="place"), gr.Row():
            self.place = [
                gr.Number(value, label=label, info=info, min_width=60, elem_id=f"place-{label.lower()}")
                for label, info, value in PLACE
            ]
        self.outputs: dict[str, Component] = {"painter": self.painter, "face": self.face}
        self.outputs |= {str(number.elem_id): number for number in self.place}

    def draw_examples(self) -> None:
        """Our own photos, each with a hole."""
        self.examples = gr.HTML(
            render.example_strip((example.thumbnail(), example.title) for example in all_examples()),
            js_on_load=static.text("examples.js"),
            apply_default_css=False,
            elem_id="examples",
        )

    def opened(self, panels: Panels) -> dict[str, Component]:
        """What opening an example may change."""
        fill = panels.fill
        return self.outputs | {"seed": fill.seed, "samples": fill.samples, "method": fill.method}

    def wire(self, panels: Panels) -> None:
        """What its components and the page's opening do."""
        fill, example = panels.fill, self.opened(panels)
        opened = example | {"status": fill.status, "linked": self.linked, "edit": self.edit}
        self.openings = [
            listen(panels.demo.load, open_page, None, opened, **QUICK),
            listen(self.painter.submit, open_link, None, opened, **QUICK),
        ]
        for opening in self.openings:
            fill.wire_linked(opening, self.linked, panels)
        listen(self.examples.select, choose_example, None, example, **QUICK)
        listen(self.painter.upload, take_sent, self.painter, self.outputs, trigger_mode="multiple", **QUICK)
        nothing = {"face": self.face}
        listen(self.painter.delete, drop_upload, None, nothing, trigger_mode="multiple", queue=False, **QUICK)
        listen(self.face.input, choose_face, [self.painter, self.face], self.outputs, **QUICK)
        listen(self.painter.select, click_face, self.painter, self.outputs, **QUICK)
        listen(self.painter.edit, drag_square, self.painter, self.outputs, **QUICK)
        listen(
            any_of(number.input for number in self.place),
            place_by_hand,
            [self.painter, *self.place],
            {"painter": self.painter, "face": self.face},
            trigger_mode="always_last",
            **QUICK,
        )
        shown = panels.hood.wire_masked(self.painter.input, panels, trigger_mode="always_last")
        panels.steer.wire_sliders(shown.then, panels)


def show_photo(
    picture: Photo,
    *,
    view: bool = True,
    mask: np.ndarray | None = None,
    undoable: bool = False,
    edit: int | None = None,
    turn: object = None,
) -> Update:
    """What shows a photo, with view, or only its frame, without; the other values are those of `painter.scene`."""
    faces = len(picture.faces)
    note = ""
    if view and not faces:
        note = photo.NO_FACE
    elif view and faces > 1:
        note = f"{faces} faces were found. The first is chosen; click another one to choose it."
    if view and picture.note:
        note = f"{picture.note} {note}".strip()
    places = picture.places
    scene = painter.scene(
        picture.key,
        picture.view.size,
        [picture.on_view(place).corners for place in places],
        places.index(picture.place),
        {label: picture.preset(name) for label, name in PRESETS.items()},
        view=data_url.view_url(picture.view) if view else None,
        mask=mask,
        note=note,
        undoable=undoable,
        edit=edit,
        turn=turn,
    )
    chosen, place = picture.chosen, picture.place
    numbers = (place.x, place.y, place.size, place.angle)
    face = gr.update(
        choices=[str(number) for number in range(1, faces + 1)],
        value=None if chosen is None else str(chosen + 1),
        visible=faces > 1 or (faces == 1 and chosen is None),
    )
    square = {f"place-{label.lower()}": round(value, 1) for (label, *_), value in zip(PLACE, numbers, strict=True)}
    return {"painter": scene, "face": face} | square


def _refused(error: ValueError) -> Update:
    """Tells the visitor in the painter, and leaves the rest as it is."""
    return {"painter": painter.trouble(str(error))}


def take_upload(painting: object) -> Update:
    """Shows a photo that has just been sent."""
    try:
        content = painter.read(painting)
    except PageError as error:
        return _refused(error)
    turn = content.get("turn")
    try:
        data, name = photo.receive(content.get("upload")), photo.plain_name(content.get("name"))
        picture = photo.from_bytes(data, name=name)
        return show_photo(picture, mask=picture.preset(FIRST_HOLE) if picture.faces else None, turn=turn)
    except PageError as error:
        return {"painter": painter.trouble(str(error), turn)}


def take_sent(painting: object, event: gr.EventData) -> Update:
    """Shows a photo that the event, or the painter's value, says has been sent."""
    return take_upload(json.dumps(event._data) if isinstance(event._data, dict) else painting)


def drop_upload(event: gr.EventData) -> Update:
    """Deletes a photo that has been sent, another one being wanted since."""
    photo.receive(event._data.get("upload") if isinstance(event._data, dict) else None)
    return {}


def click_face(painting: object, event: gr.EventData) -> Update:
    """Moves the frame to a face that was clicked in the photo."""
    index = event._data.get("face") if isinstance(event._data, dict) else None
    return choose_face(painting, str(index + 1) if type(index) is int else None)


def drag_square(painting: object, event: gr.EventData) -> Update:
    """Moves the frame to where it was dragged in the view."""
    said = event._data if isinstance(event._data, dict) else {}
    try:
        picture = read_photo(painting)
        numbers = [said.get(name) for name in ("x", "y", "side")]
        if not all(type(number) in (int, float) for number in numbers):
            raise PageError(painter.BROKEN)
        x, y, side = (number / picture.scale for number in numbers)  # type: ignore[operator]
        return show_photo(picture.placed(photo.by_hand(picture, x, y, side, said.get("turn"))), view=False)
    except PageError as error:
        return _refused(error)


def choose_face(painting: object, face: object) -> Update:
    """Moves the frame to one of the faces."""
    try:
        picture = read_photo(painting)
        numbered = {str(number): place for number, place in enumerate(picture.faces, 1)}
        if not isinstance(face, str) or face not in numbered:
            raise PageError("Choose one of the faces that are numbered in the photo.")
        return show_photo(picture.placed(numbered[face]), view=False)
    except PageError as error:
        return _refused(error)


def place_by_hand(painting: object, x: object, y: object, size: object, turn: object) -> Update:
    """Moves the frame to where the numbers say; they stay as they are."""
    try:
        picture = read_photo(painting)
        shown = show_photo(picture.placed(photo.by_hand(picture, x, y, size, turn)), view=False)
    except PageError as error:
        return _refused(error)
    return {name: shown[name] for name in ("painter", "face")}


def open_example(example: Example) -> Update:
    """Opens an example: its photo, hole, seed, samples and method."""
    try:
        picture, mask = example.open()
        shown = show_photo(picture, mask=mask)
    except PageError as error:
        return _refused(error)
    chosen = {"method": example.method} if example.method else {}
    return shown | {"seed": example.seed, "samples": example.samples} | chosen


def open_page(request: gr.Request) -> Update:
    """What the page starts with: what its address asks for, or the first example."""
    return _linked(lambda: dict(request.query_params))


def open_link(event: gr.EventData) -> Update:
    """What another page asks for, that has this one as a component: its address is none of ours."""
    return _linked(lambda: read_query(event._data.get("link") if isinstance(event._data, dict) else None))


def _linked(query: Callable[[], dict[str, str]]) -> Update:
    """What `open_example` gives, the example that `filling.fill_linked` is to fill, or the edit that is wanted."""
    try:
        found = query()
        example, edit, wrong = from_link(found), edit_from_link(found), ""
    except PageError as error:
        example, edit, wrong = None, None, str(error)
    opened = open_example(example or all_examples()[0])
    said = {"status": render.trouble(wrong, painter.mark(opened["painter"]))} if wrong else {}
    return opened | said | {"linked": None if edit is not None else example, "edit": edit}


def choose_example(event: gr.EventData) -> Update:
    """Opens the example that was clicked."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if not isinstance(index, int) or not 0 <= index < len(all_examples()):
        return {}
    return open_example(all_examples()[index])

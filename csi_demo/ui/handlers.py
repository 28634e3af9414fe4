"""What happens when a visitor chooses a photo, a face, an example or a method, or paints."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from ..errors import PageError
from ..pixels import FRAME
from . import engine, painter, photo, render
from .engine import FIRST_CONTROLS, MAX_CONTROLS, MAX_OPTIONS, MAX_SEED
from .examples import Example, all_examples, from_link
from .photo import Photo
from .results import CRISP, finished_result
from .subject import Start, on_grid, read_photo, read_subject

if TYPE_CHECKING:
    from ..methods import Control

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


def _shown(picture: Photo, *, view: bool = True, mask: np.ndarray | None = None) -> list[Any]:
    """What shows a photo and its frame: [painter, face choice, X, Y, size, turn]."""
    faces = len(picture.faces)
    note = ""
    if view and not faces:
        note = photo.NO_FACE
    elif view and faces > 1:
        note = f"{faces} faces were found. The first is chosen; choose another one below."
    places = picture.places
    scene = painter.scene(
        picture.key,
        picture.view.size,
        [picture.on_view(place).corners for place in places],
        places.index(picture.place),
        {label: picture.preset(name) for label, name in PRESETS.items()},
        view=render.view_url(picture.view) if view else None,
        mask=mask,
        note=note,
    )
    chosen = picture.chosen
    return [
        scene,
        gr.update(
            choices=[str(number) for number in range(1, faces + 1)],
            value=None if chosen is None else str(chosen + 1),
            visible=faces > 1 or (faces == 1 and chosen is None),
        ),
        *(round(number, 1) for number in (picture.place.x, picture.place.y, picture.place.size, picture.place.angle)),
    ]


def _refused(error: ValueError) -> list[Any]:
    """Tells the visitor in the painter, and leaves the rest as it is."""
    return [painter.trouble(str(error)), *[gr.skip()] * 5]


def take_upload(painting: object) -> list[Any]:
    """Shows a photo that has just been sent; see `_shown`."""
    try:
        return _shown(photo.from_bytes(photo.receive(painter.read(painting).get("upload"))))
    except PageError as error:
        return _refused(error)


def choose_face(painting: object, face: object) -> list[Any]:
    """Moves the frame to one of the faces; see `_shown`."""
    try:
        picture = read_photo(painting)
        numbered = {str(number): place for number, place in enumerate(picture.faces, 1)}
        if not isinstance(face, str) or face not in numbered:
            raise PageError("Choose one of the faces that are numbered in the photo.")
        return _shown(picture.placed(numbered[face]), view=False)
    except PageError as error:
        return _refused(error)


def place_by_hand(painting: object, x: object, y: object, size: object, turn: object) -> list[Any]:
    """Moves the frame to where the numbers say: [painter, face choice]."""
    try:
        picture = read_photo(painting)
        return _shown(picture.placed(photo.by_hand(picture, x, y, size, turn)), view=False)[:2]
    except PageError as error:
        return _refused(error)[:2]


def open_example(example: Example) -> list[Any]:
    """Opens an example: [painter, face choice, X, Y, size, turn, seed, samples, method]."""
    try:
        picture, mask = example.open()
        shown = _shown(picture, mask=mask)
    except PageError as error:
        return [*_refused(error), *[gr.skip()] * 3]
    return [*shown, example.seed, example.samples, example.method or gr.skip()]


def open_page(request: gr.Request) -> list[Any]:
    """What the page starts with, what the address asks for or the first example: [what `open_example` gives, status,
    the example that `filling.fill_linked` is to fill]."""
    try:
        linked, said = from_link(dict(request.query_params)), gr.skip()
    except PageError as error:
        linked, said = None, render.trouble(str(error))
    return [*open_example(linked or all_examples()[0]), said, linked]


def choose_example(event: gr.EventData) -> list[Any]:
    """Opens the example that was clicked; see `open_example`."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if not isinstance(index, int) or not 0 <= index < len(all_examples()):
        return [gr.skip()] * 9
    return open_example(all_examples()[index])


def show_masked(painting: object, look: str) -> str:
    """The frame with its hole as the model gets it, or what keeps it from being shown."""
    try:
        content = painter.read(painting)
        if "upload" in content or "trouble" in content:
            return gr.skip()
        shown = photo.kept(content.get("photo"))
        mask = painter.to_mask(content, shown.view.size)
        within = mask | shown.preset("full")
        hole = np.ones((FRAME, FRAME), dtype=bool) if within.all() else shown.view_place.frame_mask(within)
    except PageError as error:
        return render.trouble(str(error))
    return render.masked_view(shown.frame, hole, look == CRISP)


def draw_sliders(method: str | None, painting: object) -> list[Any]:
    """A slider or checkbox for every control and option the method declares, at its start: [Start, note, surprise, the
    folded controls, the sheets, their two controls, *slots]. What acts most strongly in the hole comes first."""
    try:
        loaded = engine.load(method)
    except PageError as error:
        return [None, render.trouble(str(error)), *[gr.skip()] * (5 + MAX_CONTROLS + MAX_OPTIONS)]
    try:
        subject = read_subject(painting)
    except PageError:
        return [gr.skip()] * (7 + MAX_CONTROLS + MAX_OPTIONS)
    from ..complete import relevance, start_values

    inferred = start_values(subject.photo.frame, subject.frame_mask, loaded.name)
    slots = engine.slots(loaded, relevance(subject.frame_mask, loaded.name))
    known = [slot for slot in slots if slot]
    values = {one.name: on_grid(one, inferred.get(one.name, one.default)) for one in known}
    start = Start(subject.key(loaded.name), values, slots)
    suggested = subject.photo.suggested(subject.mask)
    shown = values | {one.name: on_grid(one, suggested[one.name]) for one in known if one.name in suggested}
    then = "Move one, and the fill follows" if loaded.live else "Move one, then fill again"
    note = f"The sliders start where your picture stands, the strongest here first. {then}."
    choices = [(slot.label, slot.name) for slot in slots[:MAX_CONTROLS] if slot]
    chosen = [name for _, name in choices[:2]] if len(choices) > 1 else [None, None]
    starts = {name: values[slot.name] for name, slot in zip(engine.SLOT_IDS, slots, strict=True) if slot}
    return [
        start,
        render.slider_note(note if loaded.controls else loaded.description, starts),
        gr.update(visible=bool(loaded.controls)),
        gr.update(visible=len(loaded.controls) > FIRST_CONTROLS),
        gr.update(visible=len(choices) > 1),
        *(gr.update(choices=choices, value=value) for value in chosen),
        *(_drawn(slot, shown[slot.name]) if slot else gr.update(visible=False) for slot in slots),
    ]


def _drawn(control: Control, value: float) -> Any:
    shown: dict[str, Any] = {"label": control.label, "info": control.help, "visible": True}
    if control.switch:
        return gr.update(value=bool(value), **shown)
    return gr.update(value=value, minimum=control.minimum, maximum=control.maximum, step=control.step, **shown)


def reset_sliders(start: Start | None) -> list[Any]:
    """Every slider and checkbox back at its start."""
    return _moved(start, start.values if start else {})


def surprise(start: Start | None, painting: object) -> list[Any]:
    """The sliders where a draw from what the method believes of the hole puts them."""
    try:
        subject = read_subject(painting)
        if start is None or start.subject != subject.key(start.subject[0]):
            return _moved(None, {})
        loaded = engine.load(start.subject[0])
    except PageError:
        return _moved(None, {})
    from ..complete import surprise as draw

    drawn = draw(subject.photo.frame, subject.frame_mask, loaded.name, secrets.randbelow(MAX_SEED))
    return _moved(start, drawn)


def _moved(start: Start | None, values: Mapping[str, float]) -> list[Any]:
    """The slots with these controls at these values; the others stay where they are."""
    if start is None:
        return [gr.skip()] * (MAX_CONTROLS + MAX_OPTIONS)
    return [
        _drawn(slot, on_grid(slot, values[slot.name])) if slot and slot.name in values else gr.skip()
        for slot in start.slots
    ]


def use_result(key: object) -> list[Any]:
    """Makes the chosen sample the photo: [status, painter, face choice, X, Y, size, turn]."""
    try:
        result = finished_result(key)
        picture = photo.from_bytes(render.png(result.full()), like=result.photo)
    except ValueError as error:
        return [render.trouble(str(error)), *[gr.skip()] * 6]
    return [render.plain_line("The result is the photo now. Paint the next hole."), *_shown(picture)]

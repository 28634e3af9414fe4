"""The sliders: drawn from what the method declares, where the visitor's picture stands; and sheets of what they do."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from typing import Any

import gradio as gr

from ...errors import PageError
from ...methods import Control
from ...pixels import mask_to_tensor
from .. import engine, filling, painter, render, static
from ..engine import FIRST_CONTROLS, MAX_CONTROLS, MAX_SEED, SLOT_IDS
from ..subject import Start, kept_start, on_grid, read_held, read_painting, whole
from ..wiring import Update, any_of, listen
from . import COMPUTE, QUICK, Panels

MOST_HIDDEN = 3  # labels of controls that are said not to be visible
PAIR = ("traverse-0", "traverse-1")  # the two controls of a sheet


class SteerPanel:
    """Slots for controls, the strongest first and the others folded away; those for options are drawn where
    `draw_options` is called."""

    def __init__(self) -> None:
        # The key of a `subject.Start`, which must reach the browser with the sliders that it is of, and come back with
        # their values: what the server keeps of a session changes before the browser has drawn anything.
        self.start = gr.HTML(None, visible="hidden", elem_id="start")
        # Where the server has put the sliders, for those in folds that are closed: control -> value.
        self.stand = gr.HTML(None, visible="hidden", elem_id="stand")
        with gr.Column(elem_id="steer"):
            self.note = gr.HTML(
                render.plain_line("Loading the model…"),
                js_on_load=static.text("sliders.js"),
                apply_default_css=False,
                elem_id="note",
            )
            with gr.Row(elem_id="main"):
                self.slots = {name: _slot(name) for name in SLOT_IDS[:FIRST_CONTROLS]}
            self.presets = gr.HTML(
                None, js_on_load=static.text("presets.js"), apply_default_css=False, visible=False, elem_id="presets"
            )
            with gr.Row(elem_id="moves"):
                self.surprise = gr.Button("Surprise me", size="sm", visible=False, elem_id="surprise")
                self.reset = gr.Button("Reset all", size="sm", elem_id="reset")
            with gr.Accordion("More controls", open=False, visible=False, elem_id="more") as self.more, gr.Row():
                self.slots |= {name: _slot(name) for name in SLOT_IDS[FIRST_CONTROLS:MAX_CONTROLS]}

    def draw_shows(self) -> None:
        """A fold with sheets of what the sliders do, as wide as the page."""
        with gr.Accordion("What the sliders do", open=False, visible=False, elem_id="traversal") as self.shows:
            with gr.Row():
                self.pair = {
                    name: gr.Dropdown([], label=label, info=info, min_width=120, elem_id=name)
                    for name, label, info in zip(
                        PAIR, ("Slider", "Against"), ("From top to bottom.", "From left to right."), strict=True
                    )
                }
            with gr.Row():
                self.rows = gr.Button("One by one", size="sm", elem_id="rows")
                self.grid = gr.Button("The two together", size="sm", elem_id="grid")
            self.sheet = gr.HTML(elem_id="sheet")

    def draw_options(self) -> None:
        """The options of a method, below its choice."""
        with gr.Row(elem_id="options"):
            self.slots |= {name: _slot(name) for name in SLOT_IDS[MAX_CONTROLS:]}

    @property
    def outputs(self) -> dict[str, Any]:
        """What follows photo, hole and method."""
        said = {"start": self.start, "note": self.note, "surprise": self.surprise, "more": self.more}
        said |= {"presets": self.presets}
        return said | {"traversal": self.shows} | self.pair | self.moved

    @property
    def moved(self) -> dict[str, Any]:
        """What changes with where the sliders stand."""
        return {"stand": self.stand} | self.slots

    def wire(self, panels: Panels) -> None:
        """What its components do."""
        fill, painting = panels.fill, panels.subject.painter
        moves = any_of(slot.input for slot in self.slots.values())
        moves(filling.outdate, [fill.run, fill.method], None, queue=False, **QUICK)
        fill.wire_refill(moves, panels, trigger_mode="always_last")
        for event, handler in (
            (self.reset.click, reset_sliders),
            (self.presets.select, choose_preset),
            (painting.apply, put_sliders),
        ):
            putting = listen(event, handler, [self.start, painting], self.moved, queue=False, **QUICK)
            fill.wire_refill(putting.then, panels)
        caught_up = self.wire_sliders(self.surprise.click, panels, catch_up)
        drawing = listen(caught_up.then, surprise, [self.start, painting], self.moved, **QUICK, **COMPUTE)
        fill.wire_refill(drawing.then, panels)
        given, sheet = [self.start, painting, fill.seed], {"sheet": self.sheet}
        listen(self.rows.click, one_by_one, given, sheet, **QUICK, **COMPUTE)
        listen(self.grid.click, two_together, [*given, *self.pair.values()], sheet, **QUICK, **COMPUTE)

    def wire_sliders(
        self, event: Callable[..., Any], panels: Panels, handler: Callable[..., Update] | None = None
    ) -> Any:
        """Draws the sliders anew after an event."""
        inputs = [panels.fill.method, panels.subject.painter, self.start, *self.slots.values()]
        drawn = self.outputs | {"sheet": self.sheet, "inside": panels.hood.inside}
        return listen(event, handler or draw_sliders, inputs, drawn, trigger_mode="always_last", **QUICK, **COMPUTE)


def _slot(name: str) -> gr.Slider | gr.Checkbox:
    if name.startswith("switch-"):
        return gr.Checkbox(visible=False, elem_id=name)
    return gr.Slider(visible=False, buttons=["reset"], elem_id=name)


def draw_sliders(name: str | None, painting: object, key: object = None, *slots: object) -> Update:
    """A slider or checkbox for every control and option the method declares, at its start, and what goes with them.
    What acts most strongly in the hole comes first.

    key, slots: what the page shows until then, see `Start`; what was moved stays where this hole has it.
    """
    try:
        method = engine.load(name)
    except PageError as error:
        return {"start": None, "note": render.trouble(str(error))}
    try:
        painted = read_painting(painting)
    except PageError:
        return {}
    before = kept_start(key)
    start = Start.of(painted, method, before.carried(painted, method, slots) if before else {})
    follows = "Move one: the picture follows." if method.live else "Move one, then fill again."
    if hidden := engine.not_visible(method, painted.subject.relevance(method)):
        more = len(hidden) - MOST_HIDDEN
        follows += f" Not visible in this hole: {', '.join(hidden[:MOST_HIDDEN])}{f' and {more} more' * (more > 0)}."
    if not any(start.slots[:MAX_CONTROLS]):
        follows = "None of them shows in so small a hole, or in this part of the face. Paint a larger one."
    said = ("Sliders", follows) if method.controls else (method.label, method.description)
    choices = [(slot.label[:1].upper() + slot.label[1:], slot.name) for slot in start.slots[:MAX_CONTROLS] if slot]
    chosen = [choice for _, choice in choices[:2]] if len(choices) > 1 else [None, None]
    names = {name: slot.name for name, slot in zip(SLOT_IDS, start.slots, strict=True) if slot}
    starts = {name: start.values[control] for name, control in names.items()}
    pictures = {label: picture for label, (_, picture) in painted.subject.presets(method).items()}
    update: Update = {
        "start": start.kept(),
        "stand": json.dumps(start.shown),
        "note": render.slider_note(
            *said, starts, names, bool(method.controls), painter.mark(painting), method.takes_hints
        ),
        "surprise": gr.update(visible=any(start.slots[:MAX_CONTROLS])),
        "presets": gr.update(value=render.preset_row(pictures), visible=bool(pictures)),
        "sheet": "",  # which was of the photo or hole before, as was what the variants made of it
        "inside": "",
        "more": gr.update(visible=len(method.controls) > FIRST_CONTROLS),
        "traversal": gr.update(visible=len(choices) > 1),
    }
    update |= {name: gr.update(choices=choices, value=value) for name, value in zip(PAIR, chosen, strict=True)}
    return update | {
        name: _drawn(slot, start.shown[slot.name]) if slot else gr.update(visible=False)
        for name, slot in zip(SLOT_IDS, start.slots, strict=True)
    }


def catch_up(name: str | None, painting: object, key: object, *slots: object) -> Update:
    """`draw_sliders`, where the page still shows those of another photo, hole or method."""
    start = kept_start(key)
    with suppress(PageError):
        if start and start.subject == read_painting(painting).key(engine.load(name).name):
            return {}
    return draw_sliders(name, painting, key, *slots)


def _drawn(control: Control, value: float) -> Any:
    label = control.label[:1].upper() + control.label[1:]
    shown: dict[str, Any] = {"label": label, "info": control.help, "visible": True}
    if control.switch:
        return gr.update(value=bool(value), **shown)
    return gr.update(value=value, minimum=control.minimum, maximum=control.maximum, step=control.step, **shown)


def reset_sliders(key: object, painting: object) -> Update:
    """Every slider and checkbox back at its start, but for those that are held."""
    start = kept_start(key)
    return _moved(start, start.values, painting) if start else {}


def choose_preset(key: object, painting: object, event: gr.EventData) -> Update:
    """The sliders where a preset has them, the others at their start, but for those that are held."""
    label, start = event._data.get("preset") if isinstance(event._data, dict) else None, kept_start(key)
    if start is None:
        return {}
    presets = engine.load(start.subject[0]).presets(mask_to_tensor(read_painting(painting).subject.frame_mask))
    return _moved(start, start.values | presets[label], painting) if label in presets else {}


def put_sliders(key: object, painting: object, event: gr.EventData) -> Update:
    """The sliders where they stood before, as the page's history has them: {"sliders": {control: value}}."""
    start, said = kept_start(key), event._data if isinstance(event._data, dict) else {}
    values = said.get("sliders") if start else None
    if not start or not isinstance(values, dict):
        return {}
    found = {name: value for name, value in values.items() if type(value) in (int, float) and value == value}
    return _moved(start, {name: found[name] for name in start.values if name in found})


def surprise(key: object, painting: object) -> Update:
    """The sliders where a draw from what the method believes of the hole puts them."""
    try:
        start, painted = kept_start(key), read_painting(painting)
        if start is None or start.subject != painted.key(start.subject[0]):
            return {}
        method = engine.load(start.subject[0])
    except PageError:
        return {}
    return _moved(start, painted.subject.surprise(method, secrets.randbelow(MAX_SEED)), painting)


def _moved(start: Start, values: Mapping[str, float], painting: object = None) -> Update:
    """The slots with these controls at these values; the others stay where they are, as do those that the painting says
    are held."""
    held = read_held(painting) if painting else ()
    put = {
        slot.name: on_grid(slot, values[slot.name])
        for slot in start.slots
        if slot and slot.name in values and slot.name not in held
    }
    return {"stand": json.dumps(put)} | {
        name: _drawn(slot, put[slot.name])
        for name, slot in zip(SLOT_IDS, start.slots, strict=True)
        if slot and slot.name in put
    }


def one_by_one(key: object, painting: object, seed: object) -> Generator[Update]:
    """The strongest controls of the hole, a row for each, as in CSI's figure 6."""
    start = kept_start(key)
    names = [slot.name for slot in start.slots[:FIRST_CONTROLS] if slot] if start else []
    yield from _sheet(start, painting, seed, names, together=False)


def two_together(key: object, painting: object, seed: object, first: object, second: object) -> Generator[Update]:
    """Two controls against each other, as in CSI's figure 4."""
    yield from _sheet(kept_start(key), painting, seed, [str(first)[:40], str(second)[:40]], together=True)


def _sheet(start: Start | None, painting: object, seed: object, names: list[str], together: bool) -> Generator[Update]:
    yield {"sheet": render.plain_line("Drawing the pictures…")}
    try:
        painted, number = read_painting(painting), whole(seed, "The seed", 0, MAX_SEED)
        if start is None or not names:
            raise PageError("This method has no controls to show.")
        from ...traversal import grid_sheet, traversal_sheet

        make, method = grid_sheet if together else traversal_sheet, engine.load(start.subject[0])
        yield {"sheet": render.sheet_view(make(painted.subject, method, names, number))}
    except ValueError as error:
        yield {"sheet": render.trouble(str(error))}

"""Pictures and lines of text as the page shows them: Pillow in, HTML out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html import escape

import numpy as np
from PIL import Image

from ..complete import Finish
from ..photo.sheets import enlarge, masked_picture
from . import comparing
from .data_url import png_url, view_url
from .fills import FIRST, Display, Result, Sample, captions, in_seconds, number

SIDE = 384  # six screen pixels a frame pixel
RESULT_SIDE = 1024  # of a finished photo as it is shown
MASKED_SIDE = 128  # of the input among the tiles
BESIDE = '<button type="button" data-beside title="The fills of this visit in large">Side by side</button>'
MEANING = {
    "bits per dim": "Bits per dim: how unexpected the model finds a fill, so that the lowest is the likeliest.",
    "loss": "Loss: how far a fill is from what surrounds the hole, so that the lowest is the best match.",
}


def masked_view(frame: Image.Image, mask: np.ndarray, crisp: bool) -> str:
    """The masked input as a tile."""
    what = "The square with the hole striped out" if not mask.all() else "The square, without a hole yet"
    picture = _square(png_url(masked_picture(frame, mask, crisp, SIDE)), what)
    return f'<figure class="csi-tile">{picture}<figcaption>What the model sees: 64x64</figcaption></figure>'


def example_strip(examples: Iterable[tuple[Image.Image, str]]) -> str:
    """A button for every example: its thumbnail and title."""
    buttons = "".join(
        f'<button type="button" data-example="{index}" title="Open this example: {escape(title)}">'
        f'<img src="{view_url(picture)}" alt="" width="48" height="48"><span>{escape(title)}</span></button>'
        for index, (picture, title) in enumerate(examples)
    )
    return f'<div class="csi-examples" role="group" aria-label="Examples">{buttons}</div>'


def running_view(result: Result, crisp: bool, waiting: Sequence[str] = ()) -> str:
    """The samples as far as they are drawn, small on the wire and enlarged by the browser, one of them in the photo.

    waiting: what the tiles are to be called whose turn has not come.
    """
    latest = len(result.samples) - 1 if result.compared else 0
    parts = [_on_stage(replace(result, chosen=latest), "cells", png_url(result.samples[latest].picture))]
    if result.compared:
        parts.append(_compared(result, Display(crisp, True), waiting))
    elif len(result.samples) > 1:
        tiles = "".join(
            f'<figure class="csi-tile">{_square(png_url(sample.picture), f"Sample {index + 1}, seed {sample.seed}")}'
            f"{_caption(result.title(index), [])}</figure>"
            for index, sample in enumerate(result.samples)
        )
        parts.append(f'<div class="csi-strip csi-running">{tiles}</div>')
    return _view(result, crisp, parts)


def result_view(result: Result | None, display: Display, key: str = "") -> str:
    """What shows a result: the chosen sample, which the painter puts into the photo, and all of them to choose from.

    key: the result's, for the browser to ask for it again.
    """
    if result is None:
        return ""
    if not result.finished:
        return running_view(result, display.crisp)
    chosen = result.samples[result.chosen]
    if display.in_photo:
        finished = result.subject.finished(chosen.picture, Finish(refine=display.refine))
        shown = _on_stage(result, "view", view_url(finished.crop(result.box()), RESULT_SIDE), key)
    else:
        shown = _on_stage(result, "frame", png_url(enlarge(chosen.picture, display.crisp, SIDE)), key)
    if result.compared:
        return _view(result, display.crisp, [shown, _compared(result, display), comparing.table(result.samples)])
    return _view(result, display.crisp, [shown, _strip(result), _figures(result)])


def _view(result: Result, crisp: bool, parts: Sequence[str]) -> str:
    return f'<div class="csi-result{_look(crisp)}">{"".join(parts)}</div>'


def _on_stage(result: Result, kind: str, source: str, key: str = "") -> str:
    """The picture that the painter lays over the photo, see shown.js. kind: "view", the part of the view that holds the
    hole; "frame", the square; "cells", the square, of which only the hole is to be shown."""
    left, top, right, bottom = result.box()
    thumb = "" if len(result.samples) > 1 or not key else f'data-thumb="{png_url(result.samples[0].picture)}" '
    return (
        f'<img class="{"csi-after" if result.finished else "csi-now"}" hidden alt="" src="{source}" {thumb}'
        f'data-kind="{kind}" data-box="{left},{top},{right - left},{bottom - top}" data-key="{key}" '
        f'data-photo="{escape(result.photo.key)}" data-edit="{result.edit}" data-shows="{escape(_shows(result))}">'
    )


def _shows(result: Result) -> str:
    """In words: the method of a comparison's sample; which of the fills it is and what was moved."""
    if result.compared:
        return result.samples[result.chosen].method
    return ", ".join([f"{result.title(result.chosen)} of {len(result.samples)}", *_moved(result.settings)])


def _strip(result: Result) -> str:
    """A button for every sample; nothing for a single one."""
    if len(result.samples) == 1:
        return ""
    buttons = "".join(
        f'<button type="button" {_selects(result, index)}>'
        f'<img src="{png_url(result.samples[index].picture)}" alt="seed {result.seeds[index]}">'
        f"{_caption(result.title(index), [FIRST[result.figure]] if result.figure and not place else [])}</button>"
        for place, index in enumerate(result.order)
    )
    return f'<div class="csi-strip" role="group" aria-label="Samples">{buttons}{BESIDE}</div>'


def _compared(result: Result, display: Display, waiting: Sequence[str] = ()) -> str:
    """A button for every method's fill, which shows it in the photo; large as soon as it is complete."""
    tiles = ""
    for index, sample in enumerate(result.samples):
        source = next(iter(sample.large.values()), "") or png_url(sample.picture)
        if result.finished:
            source = (
                comparing.large(result.subject, sample, display.refine) if display.in_photo else png_url(sample.picture)
            )
        inside = _square(source, f"Fill of {sample.method}") + _caption(sample.method, captions(result, sample))
        if result.finished:
            tiles += f'<button type="button" class="csi-tile" {_selects(result, index)}>{inside}</button>'
        else:
            tiles += f'<figure class="csi-tile">{inside}</figure>'
    for label in waiting:
        tiles += f'<figure class="csi-tile"><div class="csi-hold"></div>{_caption(label, ["waits"])}</figure>'
    return f'<div class="csi-tiles csi-compared{_look(display.crisp)}" role="group" aria-label="Methods">{tiles}</div>'


def side_by_side(fills: Sequence[tuple[Result, Sample]], refine: bool) -> str:
    """Fills of several results in large, with what they were made by."""
    if not fills:
        return trouble("These results are no longer here: fill the hole again.")
    tiles = ""
    for result, sample in fills:
        moved = sample.settings if result.compared else result.settings
        made = ", ".join([f"seed {sample.seed}", *_moved(moved)])
        picture = _square(comparing.large(result.subject, sample, refine), f"Fill of {sample.method}, {made}")
        tiles += f'<figure class="csi-tile">{picture}{_caption(sample.method, [made])}</figure>'
    return f"""<details class="csi-share" open><summary>Side by side</summary>
        <div class="csi-tiles csi-compared">{tiles}</div></details>"""


def _moved(settings: Mapping[str, float]) -> list[str]:
    return [f"{name.replace('_', ' ')} {number(value)}" for name, value in settings.items()]


def _figures(result: Result) -> str:
    """What was measured of the samples and what the method shows beside them, folded away."""
    lines = [
        f"<li>{escape(result.title(index))}: seed {sample.seed}{''.join(f', {escape(said)}' for said in said_of)}</li>"
        for index, sample in ((index, result.samples[index]) for index in result.order)
        if (said_of := [f"{name} {number(value)}" for name, value in sample.figures.items()]) or sample.beside
    ]
    beside = _beside(result.samples[result.chosen])
    if not lines and not beside:
        return ""
    meaning = f"<p>{MEANING[result.figure]}</p>" if lines and result.figure else ""
    content = f"{beside}{meaning}<ul>{''.join(lines)}</ul>"
    return f'<details class="csi-figures"><summary>Figures</summary>{content}</details>'


def _selects(result: Result, index: int) -> str:
    """What makes a button of a sample; see results.js."""
    pressed = "true" if index == result.chosen else "false"
    return f'data-sample="{index}" title="Show this one in the photo" aria-pressed="{pressed}"'


def _beside(sample: Sample) -> str:
    """The other pictures that the method shows, small and with their names."""
    if not sample.beside:
        return ""
    pictures = "".join(
        f"<figure>{_square(png_url(picture), name)}<figcaption>{escape(name)}</figcaption></figure>"
        for name, picture in sample.beside.items()
    )
    return f'<div class="csi-beside">{pictures}</div>'


def _caption(title: str, lines: Sequence[str]) -> str:
    said = "".join(f"<span>{escape(line)}</span>" for line in lines)
    return f'<span class="csi-caption"><b>{escape(title)}</b>{said}</span>'


def _square(source: str, alt: str) -> str:
    return f'<img src="{source}" alt="{escape(alt)}" width="{SIDE}" height="{SIDE}" decoding="sync">'


def _look(crisp: bool) -> str:
    return " csi-crisp" if crisp else ""


def progress_line(text: str, progress: float, of: str = "") -> str:
    """What runs, for the line of status; progress from 0 to 1, of: see `plain_line`."""
    return (
        f'<div class="csi-status" data-of="{escape(of)}" data-progress="{round(100 * progress)}">{escape(text)}</div>'
    )


def plain_line(text: str, of: str = "") -> str:
    """A line of text; of: the painting that it is of, as `painter.mark` has it, and beside which alone it is shown
    (static/state.js). Without one it is of what was asked for last."""
    return f'<div class="csi-status" data-of="{escape(of)}">{escape(text)}</div>'


def sheet_view(picture: Image.Image) -> str:
    """A sheet of pictures, to look at and to download."""
    source = png_url(picture)
    image = f'<img src="{source}" alt="What the controls change" width="{picture.width}" height="{picture.height}">'
    return f'<div class="csi-sheet">{image}<a href="{source}" download="csi-controls.png">Download</a></div>'


def variants_view(frame: Image.Image, mask: np.ndarray, fills: Iterable[tuple[str, str, Image.Image]]) -> str:
    """A small frame with its hole, mask: True = observed, and its fills, each with a label and a line of text."""
    masked = png_url(masked_picture(frame, mask, True, MASKED_SIDE))
    size = f"{frame.width}x{frame.height}"
    tiles = [(masked, "The small square with the hole striped out", "With the hole", f"The square at {size}.")]
    tiles += [
        (png_url(enlarge(picture, True, SIDE)), f"Fill of {label}", label, text) for label, text, picture in fills
    ]
    figures = "".join(
        f'<figure class="csi-tile">{_square(source, alt)}{_caption(title, [text])}</figure>'
        for source, alt, title, text in tiles
    )
    return f'<div class="csi-tiles csi-small csi-crisp">{figures}</div>'


def slider_note(
    title: str,
    text: str,
    starts: Mapping[str, float],
    names: Mapping[str, str],
    measured: bool,
    of: str,
    hints: bool = False,
) -> str:
    """A heading and a line of text over the sliders. starts: element's id -> where its own reset button is to put it;
    names: of the controls, by the element's id; measured: whether there are figures to show of them; of: the painting
    that they are of, see `plain_line`; hints: whether the method obeys colours in the hole."""
    figures = (
        '<button type="button" data-evidence aria-pressed="false" title="What was measured of each slider">'
        "Measured</button>"
    )
    return (
        f'<div class="csi-note"><h2>{escape(title)}</h2><p>{escape(text)}</p>{figures if measured else ""}</div>'
        f'<span hidden {"data-hints " * hints}data-of="{escape(of)}" '
        f'data-starts="{escape(json.dumps(starts))}" data-names="{escape(json.dumps(names))}"></span>'
    )


def preset_row(pictures: Mapping[str, Image.Image]) -> str:
    """A button for every label, with a picture of what it makes of this face."""
    buttons = "".join(
        f'<button type="button" data-preset="{escape(label)}"><img src="{png_url(picture)}" alt="" width="64" '
        f'height="64"><span>{escape(label)}</span></button>'
        for label, picture in pictures.items()
    )
    return (
        f'<div class="csi-looks" role="group" aria-label="Several sliders at once">{buttons}</div>' if buttons else ""
    )


def trouble(message: str, of: str = "") -> str:
    """A message that something has to be changed; of: see `plain_line`."""
    return f'<div class="csi-trouble" role="alert" data-of="{escape(of)}">{escape(message)}</div>'


def finished_line(samples: Sequence[Sample], note: str = "", of: str = "") -> str:
    """The closing line of a fill; of: see `plain_line`."""
    seconds = samples[0].seconds or 0.0
    text = f"Filled in {in_seconds(seconds, 1 if seconds >= 1.0 else 2)}."
    if len(samples) > 1:
        text += f" {len(samples)} fills to choose from."
    return plain_line(f"{text} {note}".strip(), of)


def compared_line(result: Result, seconds: float, note: str = "") -> str:
    """The closing line of a comparison."""
    count = len(result.samples)
    text = f"Compared {count} {'method' if count == 1 else 'methods'} in {seconds:.1f} s. Choose one below."
    return plain_line(f"{text} {note}".strip(), result.mark)

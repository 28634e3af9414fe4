"""Several photos at once: the same hole by name in each, one after another, and everything in one ZIP file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import gradio as gr
from gradio.utils import get_upload_folder

from ..complete import Request
from ..errors import CompletionError, PageError
from ..methods import Method
from ..photo import sheets
from ..pixels import png
from . import comparing, downloads, engine, filling, painter, photo
from .background import in_background
from .engine import MAX_SEED
from .fills import Result
from .inputs import PageInputs
from .photo import KEPT
from .subject import kept_start, whole
from .wiring import Update

MOST, MOST_BYTES = 12, 128 * 2**20  # photos at once, and what they may hold together


@dataclass
class Several:
    """Photos of a visitor that are filled together. photos: name and content of each; stopped: whether the rest is to
    be left out; file: the ZIP file of what was filled last."""

    photos: tuple[tuple[str, bytes], ...]
    stopped: bool = False
    file: Path | None = None
    said: list[str] = field(default_factory=list)  # what was left out, and why


def take(value: object, before: object) -> Update:
    """Keeps photos that have just been sent, in the place of those before. Raises PageError."""
    sent = painter.read(value).get("several")
    if not isinstance(sent, list) or not sent:
        raise PageError(painter.BROKEN)
    if len(sent) > MOST:
        raise PageError(f"At most {MOST} photos at once: choose fewer.")
    photos: list[tuple[str, bytes]] = []
    for file in sent:
        path, name = (file.get("path"), file.get("name")) if isinstance(file, dict) else (None, None)
        data = photo.receive(path)
        if sum(len(content) for _, content in photos) + len(data) > MOST_BYTES:
            raise PageError(f"These photos hold more than {MOST_BYTES >> 20} MB together: choose fewer.")
        photos.append((_other(photo.plain_name(name), [taken for taken, _ in photos]), data))
    KEPT.drop(before if isinstance(before, str) else None)
    key = KEPT.put(Several(tuple(photos)), sum(len(data) for _, data in photos))
    line = f"{len(photos)} photos. Choose the hole, then fill them all, by the method and the sliders above."
    return {"several": key, "filled": _view(line, [], [])} | works(fill=True)


def _other(name: str, taken: Sequence[str]) -> str:
    """The name, numbered where another photo has it."""
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}-{number}"
    return found


def kept(key: object) -> Several:
    """The photos of this key. Raises PageError."""
    found = KEPT.get(key)
    if not isinstance(found, Several):
        raise PageError("These photos are no longer here. Choose them again.")
    return found


def stop(key: object) -> None:
    """Leaves out the photo under way and those whose turn has not come."""
    kept(key).stopped = True


def fill(key: object, hole: object, kind: object, *values: Any) -> Generator[Update]:
    """Fills the same hole in each photo and shows them as they are done. Raises PageError.

    values: as of `PageInputs.of`.
    """
    several, inputs = kept(key), PageInputs.of(*values)
    several.stopped, several.file, several.said = False, None, []
    method, seed = engine.load(inputs.method), whole(inputs.seed, "The seed", 0, MAX_SEED)
    start = kept_start(inputs.start)
    controls, options = method.split(start.moved(inputs.slots) if start and start.subject[0] == method.name else {})
    rows: list[dict[str, Any]] = []
    tiles: list[tuple[str, str]] = []
    strip: list[sheets.Tile] = []
    count, done = len(several.photos), 0
    file = Path(tempfile.mkdtemp(dir=get_upload_folder())) / f"photos-{method.name}-seed-{seed}.zip"
    work = _each(several.photos, str(hole), method, seed, controls, options, inputs)
    with ZipFile(file, "w", ZIP_STORED) as packed, closing(in_background(work, lambda: several.stopped)) as moments:
        yield _running(f"Photo 1 of {count}…", tiles, several.said)
        for name, result in moments:
            if result is None:  # on the way
                continue
            done += 1
            if isinstance(result, Result):
                (sample,) = result.samples
                content, full = downloads.full_size(result, inputs.display.refine, str(kind))
                packed.writestr(f"{name}{Path(full).suffix}", content)
                packed.writestr(f"{name}-mask.png", png(downloads.mask_picture(result), quickly=True))
                rows.append(
                    {"file": f"{name}{Path(full).suffix}", "seed": seed, **comparing.measured(sample), **sample.figures}
                )
                tiles.append((name, comparing.large(result.subject, sample, inputs.display.refine)))
                strip.append(sheets.Tile(name, (sample.picture,)))
            else:
                several.said.append(f"{name}: {str(result).rstrip('.')}")
            if done < count:
                yield _running(f"Photo {done + 1} of {count}…", tiles, several.said)
        if done < count:
            several.said.append(f"{count - done} of {count} photos: stopped before")
        if strip:
            packed.writestr("strip.png", png(sheets.strip(strip, inputs.display.crisp), quickly=True))
            packed.writestr("figures.csv", downloads.table(rows))
        said = {
            "hole": str(hole),
            "method": method.label,
            "seed": seed,
            "settings": {**controls, **options},
            "refined": inputs.display.refine,
            "left out": several.said,
            "versions": downloads.versions(),
        }
        packed.writestr("settings.json", json.dumps(said, indent=2))
    several.file = file if strip else None
    view = _view(f"{len(strip)} of {count} photos are filled.", tiles, several.said)
    yield {"filled": view} | works(fill=True, zip=bool(strip))


def works(**on: bool) -> Update:
    """Which of the buttons work: those that are named and true."""
    return {name: gr.update(interactive=on.get(name, False)) for name in ("fill", "stop", "zip")}


def _running(line: str, tiles: Sequence[tuple[str, str]], left_out: Sequence[str]) -> Update:
    return {"filled": _view(line, tiles, left_out)} | works(stop=True)


def _each(photos: Sequence[tuple[str, bytes]], *how: Any) -> Generator[tuple[str, Result | Exception | None]]:
    """Every photo's name with its fill or why it is left out, and before it None after each step; how: as of
    `_filled`."""
    for name, data in photos:
        try:
            for result in _filled(name, data, *how):
                yield name, result
        except (PageError, CompletionError) as error:
            yield name, error


def _filled(
    name: str,
    data: bytes,
    hole: str,
    method: Method,
    seed: int,
    controls: Mapping[str, float],
    options: Mapping[str, float],
    inputs: PageInputs,
) -> Generator[Result | None]:
    """One photo with the hole around its first face filled, after its steps. Raises PageError or CompletionError."""
    shown = photo.from_bytes(data, name=name)
    KEPT.drop(shown.key)
    if not shown.faces:
        raise PageError("no face was found")
    mask, _ = shown.cut(shown.preset(hole))
    request = Request(shown.subject(mask), method, (seed,), controls, options)
    with closing(filling.drawn(request)) as steps:
        for now, _ in steps:
            sample = now[0]
            yield None
    judged = comparing.judged(sample, request, inputs.display.refine)
    yield Result(shown, request.subject, (judged,), 1.0, settings=judged.settings, method=method.name)


def zip_file(key: object) -> Path:
    """What `fill` made last. Raises PageError."""
    file = kept(key).file
    if file is None or not file.is_file():
        raise PageError("There is nothing to download here any more: fill the photos again.")
    return file


def _view(line: str, tiles: Sequence[tuple[str, str]], left_out: Sequence[str]) -> str:
    figures = "".join(
        f'<figure class="csi-tile"><img src="{source}" alt="{escape(name)}, filled">'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name, source in tiles
    )
    out = f"<p>Left out: {escape('; '.join(left_out))}.</p>" if left_out else ""
    return f'<p role="status">{escape(line)}</p>{out}<div class="csi-tiles csi-compared">{figures}</div>'

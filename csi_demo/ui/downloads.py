"""Files that a visitor takes away: named after the photo and what was done, in the format of the photo."""

from __future__ import annotations

import csv
import json
import platform
from collections.abc import Mapping
from dataclasses import astuple, replace
from importlib.metadata import version
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

from PIL import Image, JpegImagePlugin

from ..photo import sheets
from ..photo.containers import without_metadata
from ..photo.reading import open_picture
from ..pixels import png
from . import comparing
from .fills import Result

LIKE_PHOTO = "Like the photo"
KINDS = (LIKE_PHOTO, "PNG", "JPEG", "WebP")
ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
QUALITY = 95
LONGEST = {"JPEG": 65_500, "WEBP": 16_383}  # sides that a format can have
MOST_NAMED = 3  # settings in a name


def name(result: Result, seed: int, ending: str) -> str:
    """What a file of a result is called, e.g. "portrait-csi-seed-0-smile-2.jpg"."""
    done = "compared" if result.compared else result.samples[0].method.lower().replace(" ", "-")
    moved = "".join(f"-{control}-{value:g}" for control, value in list(result.settings.items())[:MOST_NAMED])
    return f"{result.photo.name}-{done}-seed-{seed}{moved}{ending}"


def full_size(result: Result, refine: bool, kind: str) -> tuple[bytes, str]:
    """The chosen sample in the photo at its own size, and the file's name.

    kind: one of KINDS. A JPEG has the subsampling of the photo's own; transparency and grey stay what they were, other
    metadata go. A side too long for the kind makes it a PNG.
    """
    picture = result.full(refine)
    original = open_picture(result.photo.data, notes=[])
    with Image.open(BytesIO(without_metadata(result.photo.data))) as header:  # which metadata may have hindered reading
        jpeg = isinstance(header, JpegImagePlugin.JpegImageFile)
        found = "JPEG" if jpeg else str(header.format)
        sampling = JpegImagePlugin.get_sampling(header) if jpeg else 0
    sort = found if kind == LIKE_PHOTO else kind.upper()
    sort = sort if sort in ENDINGS else "PNG" if original.has_transparency_data else "JPEG"
    sort = sort if max(picture.size) <= LONGEST.get(sort, max(picture.size)) else "PNG"
    if original.mode in ("L", "LA", "1") or original.mode.startswith("I"):
        picture = picture.convert("L")
    if original.has_transparency_data and sort != "JPEG":
        picture = picture.convert("LA" if picture.mode == "L" else "RGBA")
        picture.putalpha(original.convert("RGBA").getchannel("A"))
    return _encoded(picture, sort, max(sampling, 0)), name(result, result.seeds[result.chosen], ENDINGS[sort])


def bundle(result: Result, refine: bool, kind: str, crisp: bool, file: Path) -> None:
    """Writes a ZIP file of all that there is: every sample at full size, the mask, figures, settings, and the strip.

    kind: as of `full_size`. One picture is in memory at a time.
    """
    rows: list[dict[str, Any]] = []
    with ZipFile(file, "w", ZIP_STORED) as packed:
        for index, sample in enumerate(result.samples):
            content, full = full_size(replace(result, chosen=index), refine, kind)
            label = sample.method.lower().replace(" ", "-")
            entry = f"{index + 1}-{label}-seed-{sample.seed}{Path(full).suffix}"
            packed.writestr(entry, content)
            first = {"file": entry, "method": sample.method, "seed": sample.seed}
            rows.append({**first, **comparing.measured(sample), **sample.figures})
        packed.writestr("mask.png", png(mask_picture(result), quickly=True))
        packed.writestr("strip.png", png(sheets.strip(result.strip_tiles(crisp), crisp), quickly=True))
        packed.writestr("figures.csv", table(rows))
        packed.writestr("settings.json", json.dumps(settings(result, refine, rows), indent=2))


def mask_picture(result: Result) -> Image.Image:
    """The hole at the photo's own size, black on white, as the command line takes it."""
    return Image.fromarray(result.photo.at_full_size(result.subject).mask).convert("L")


def table(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV; a figure that a row lacks stays empty."""
    text = StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def settings(result: Result, refine: bool, rows: list[dict[str, Any]]) -> Mapping[str, Any]:
    """What it takes to make a result again."""
    made = [
        {"file": row["file"], "method": row["method"], "seed": row["seed"], "settings": dict(moved)}
        for row, moved in zip(rows, (sample.settings or result.settings for sample in result.samples), strict=True)
    ]
    return {
        "photo": result.photo.name,
        "size": result.photo.size,
        "square": dict(zip(("x", "y", "size", "turn"), astuple(result.photo.place), strict=True)),
        "mask": "mask.png",
        "refined": refine,
        "results": made,
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what draws the pictures."""
    from .. import weights

    packages = {name: version(name) for name in ("torch", "numpy", "opencv-python-headless")}
    return {"python": platform.python_version(), **packages, "weights of csi": weights.fingerprint("csi")[:16]}


def _encoded(picture: Image.Image, sort: str, sampling: int) -> bytes:
    if sort == "PNG":
        return png(picture, quickly=True)
    stored = BytesIO()
    options: dict[str, Any] = {"subsampling": sampling} if sort == "JPEG" else {}
    picture.save(stored, sort, quality=QUALITY, **options)
    return stored.getvalue()

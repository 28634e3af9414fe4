"""Files that a visitor takes away: named after the photo and what was done, in the format of the photo."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from PIL import Image, JpegImagePlugin

from ..photo.containers import without_metadata
from ..photo.reading import open_picture
from ..pixels import png
from .render import Result

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


def _encoded(picture: Image.Image, sort: str, sampling: int) -> bytes:
    if sort == "PNG":
        return png(picture, quickly=True)
    stored = BytesIO()
    options: dict[str, Any] = {"subsampling": sampling} if sort == "JPEG" else {}
    picture.save(stored, sort, quality=QUALITY, **options)
    return stored.getvalue()

"""Reading any picture as a photo: command line, page, API and Python all do it here.

A photo is upright, RGB, in sRGB, and carries no metadata. Metadata that cannot be read counts as none.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from ..errors import PhotoError
from .colour import to_srgb
from .containers import JPEG, candidates, is_cut, without_metadata

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "GIF", "BMP")
KINDS = "PNG, JPEG, WebP, HEIC, AVIF, TIFF, GIF or BMP file"
SUFFIXES = (  # of files that are taken for pictures
    *(".png", ".jpg", ".jpeg", ".jfif", ".jpe", ".webp", ".heic", ".heif", ".avif"),
    *(".tif", ".tiff", ".gif", ".bmp"),
)
MAX_PIXELS = 40_000_000
TOO_LARGE = "40 megapixels at most"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PhotoLike = Image.Image | np.ndarray | str | Path | bytes | BinaryIO


def read_file(photo: Path) -> bytes:
    """A photo's file. Raises PhotoError."""
    try:
        return photo.read_bytes()
    except FileNotFoundError:
        raise PhotoError(f"no such file: {photo.name}") from None
    except (OSError, ValueError) as error:
        raise PhotoError(f"{photo.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def to_photo(photo: PhotoLike, name: str | None = None) -> Image.Image:
    """Whatever can mean a photo as one: a file as of `open_photo`, a picture of Pillow's, turned as its EXIF says, or
    an array (height, width), or with 1, 3 or 4 channels as its third axis, of uint8, of uint16, or of floats from 0
    to 1.

    name: what errors call it. Raises PhotoError.
    """
    if isinstance(photo, np.ndarray):
        photo = _from_array(photo)
    if not isinstance(photo, Image.Image):
        return open_photo(photo, name)
    return _read(photo, name or "the photo", _as_photo)


def open_photo(
    file: str | Path | bytes | BinaryIO, name: str | None = None, notes: list[str] | None = None
) -> Image.Image:
    """A picture file, by its path, its content or a binary stream, as a photo; transparency is laid on white, of an
    animation the first picture counts.

    name: what errors call it; notes: takes what is to be said of a file that was read all the same, which otherwise
    goes to standard error. Raises PhotoError when it is no such file, lacks pixels, or is larger than 40 megapixels.
    """
    return _as_photo(open_picture(file, name, notes))


def open_picture(
    file: str | Path | bytes | BinaryIO, name: str | None = None, notes: list[str] | None = None
) -> Image.Image:
    """A picture file as it is stored, but upright: what `open_photo` reads before it makes a photo of it."""
    if isinstance(file, str | Path):
        name, file = name or Path(file).name, read_file(Path(file))
    name = name or "the file"
    if not isinstance(file, bytes):
        file = _content(file, name)
    if not file:
        raise PhotoError(f"{name} is empty: it is not a picture that can be read")
    try:
        return _decoded(file, name)
    except PhotoError as error:
        if TOO_LARGE in str(error):
            raise
        for read in (_without_metadata, _without_end):
            try:
                picture, note = read(file, name)
            except PhotoError:
                continue
            _tell(f"{name} {note}" if note else "", notes)
            return picture
        raise error from None


def _tell(note: str, notes: list[str] | None) -> None:
    if note and notes is not None:
        notes.append(note)
    elif note:
        print(f"csi_demo: {note}", file=sys.stderr)


def _without_metadata(data: bytes, name: str) -> tuple[Image.Image, str]:
    """The picture in a file whose metadata hinder reading it, of which nothing is to be said. Raises PhotoError."""
    bare = without_metadata(data)
    if bare == data:
        raise PhotoError(f"{name} has no metadata")
    return _decoded(bare, name), ""


def _without_end(data: bytes, name: str) -> tuple[Image.Image, str]:
    """The picture in a file that breaks off after its last pixel, and what to say of it. Raises PhotoError.

    Whether a pixel is missing shows where more is put in the place of the end: it changes the picture then.
    """
    for ended, *others in candidates(without_metadata(data)):
        try:
            picture, *trials = (_decoded(content, name) for content in (ended, *others))
        except PhotoError:
            continue
        if all(np.array_equal(np.asarray(picture), np.asarray(trial)) for trial in trials):
            return picture, "breaks off after its last pixel, without an end marker: it was read all the same"
    raise PhotoError(f"{name} lacks pixels")


def _content(file: object, name: str) -> bytes:
    read = getattr(file, "read", None)
    content = read() if callable(read) else file
    if isinstance(content, bytes | bytearray | memoryview):
        return bytes(content)
    raise PhotoError(f"{name} is a {type(file).__name__}: a photo is a picture, an array, a path or a file's content")


def _decoded(data: bytes, name: str) -> Image.Image:
    _prepare()
    try:
        if data.startswith(JPEG) and is_cut(data):  # Pillow does not mind where zeros follow
            raise PhotoError(f"{name} has no end")
        with Image.open(BytesIO(data), formats=FORMATS) as picture:
            return _read(picture, name, data=data)
    except PhotoError as error:
        if is_cut(data) and TOO_LARGE not in str(error):
            raise PhotoError(f"{name} is cut off: the file ends before its picture does") from None
        raise
    except Image.DecompressionBombError:
        raise PhotoError(f"{name} has far too many pixels: {TOO_LARGE}") from None
    except MemoryError:
        raise
    except Exception:  # whatever a decoder makes of a file that is none of its own
        if is_cut(data):
            raise PhotoError(f"{name} is cut off: the file ends before its picture does") from None
        raise PhotoError(f"{name} is not a picture that can be read: use a {KINDS}") from None


def _read(
    picture: Image.Image,
    name: str,
    made: Callable[[Image.Image], Image.Image] = lambda picture: picture,
    data: bytes = b"",
) -> Image.Image:
    """What is made of a picture, which is decoded and set upright for that. Raises PhotoError."""
    if picture.width * picture.height > MAX_PIXELS:
        raise PhotoError(f"{name} has {picture.width}x{picture.height} pixels: {TOO_LARGE}")
    if not picture.width or not picture.height:
        raise PhotoError(f"{name} has no pixels: it is {picture.width}x{picture.height}")
    try:
        stored = _stored_as(picture)
        picture.load()
        return made(_upright(_by_convention(picture, stored, data), _turn(picture)))
    except (PhotoError, MemoryError):
        raise
    except Exception as error:
        if "truncated" in str(error).lower():
            raise PhotoError(f"{name} is cut off: the file ends before its picture does") from None
        raise PhotoError(f"{name} is not a picture that can be read: use a {KINDS}") from None


def _stored_as(picture: Image.Image) -> str:
    """How Pillow names the pixels of a file that it has not decoded yet, such as "L;4" or "I;16B"; "" otherwise."""
    tiles = getattr(picture, "tile", None)
    raw = tiles[0][3] if tiles else ""
    return str(raw[0] if isinstance(raw, tuple) and raw else raw)


def _by_convention(picture: Image.Image, stored: str, data: bytes) -> Image.Image:
    """A picture whose levels and transparent colour mean what they mean with 8 bits; its own metadata stay.

    Pillow takes a transparent colour of other depths for one of 8 bits, and TIFF's levels of more than 8 as they are,
    though white may be zero, or 12 bits the most.
    """
    changed, clear = picture, picture.info.get("transparency")
    if picture.format == "TIFF" and picture.mode.startswith("I;16"):
        tags = picture.tag_v2  # type: ignore[attr-defined]
        levels, bits = np.asarray(picture).astype(np.float64), int(tags.get(258, (16,))[0])
        levels *= 65535 / (2**bits - 1)
        changed = Image.fromarray(np.rint(65535 - levels if tags.get(262) == 0 else levels).astype(np.uint16))
    elif isinstance(clear, int) and picture.mode.startswith("I;16"):
        levels = np.asarray(picture)
        opaque = levels != clear
        if not opaque.all():
            changed = Image.fromarray(np.rint(levels / 257.0).astype(np.uint8))
            changed.putalpha(Image.fromarray(255 * opaque.astype(np.uint8)))
        else:
            changed = Image.fromarray(levels)
    elif isinstance(clear, tuple) and stored == "RGB;16B" and data:
        import cv2

        whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        opaque = (np.asarray(whole)[..., 2::-1] != np.array(clear)).any(-1)
        changed = picture.convert("RGB")
        changed.putalpha(Image.fromarray(255 * opaque.astype(np.uint8)))
    elif isinstance(clear, int) and stored in ("L;2", "L;4"):
        picture.info["transparency"] = clear * 255 // (2 ** int(stored[-1]) - 1)
    if changed is not picture:
        changed.info = {name: value for name, value in picture.info.items() if name != "transparency"}
    return changed


@cache
def _prepare() -> None:
    """Lets Pillow read HEIC, and TIFF's greys of more than 8 bits in which white is zero, which `_by_convention` turns
    round, and be silent about odd metadata and many pixels, of which we say what there is to say."""
    from pi_heif import register_heif_opener

    register_heif_opener(thumbnails=False)
    for order, bits, how in ((b"II", 12, ("I;16", "I;12")), (b"MM", 16, ("I;16B", "I;16B"))):
        TiffImagePlugin.OPEN_INFO.setdefault((order, 0, (1,), 1, (bits,), ()), how)
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _turn(picture: Image.Image) -> Image.Transpose | None:
    """What sets a picture upright as its EXIF says; nothing where that cannot be read."""
    try:
        return TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:
        return None


def _upright(picture: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    """A picture turned, without its EXIF."""
    turned = picture if turn is None else picture.transpose(turn)
    if turned is picture and not picture.info.get("exif"):
        return picture
    turned = turned.copy() if turned is picture else turned
    turned.info = {name: value for name, value in picture.info.items() if name in ("icc_profile", "gamma", "srgb")}
    if "transparency" in picture.info:
        turned.info["transparency"] = picture.info["transparency"]
    return turned


def _as_photo(picture: Image.Image) -> Image.Image:
    """An upright picture as a photo: itself where it is one. Raises PhotoError."""
    if picture.mode == "RGB" and not picture.info:
        return picture
    if picture.mode.startswith("I"):
        picture = _grey_of_16_bits(picture)
    if picture.mode == "F":
        raise PhotoError("the photo's pixels are floats, whose range is unknown: use 8 or 16 bits")
    opacity = None
    if picture.has_transparency_data:
        transparent = picture.convert("RGBA")
        opacity = transparent.getchannel("A")
        grey = picture.mode in ("LA", "La")
        transparent.info = dict(picture.info)
        picture = transparent.convert("L" if grey else "RGB")
        picture.info.pop("transparency", None)
    photo = to_srgb(picture)
    if opacity is not None:
        paper = Image.new("RGB", photo.size, (255, 255, 255))
        paper.paste(photo, mask=opacity)
        photo = paper
    photo = photo.copy() if photo is picture else photo
    photo.info = {}
    return photo


def _grey_of_16_bits(picture: Image.Image) -> Image.Image:
    levels = np.asarray(picture).astype(np.float64)
    if levels.min() < 0 or levels.max() > 65535:
        raise PhotoError("the photo's pixels have more than 16 bits: use 8 or 16")
    grey = Image.fromarray(np.rint(levels / 257.0).astype(np.uint8))
    grey.info = dict(picture.info)
    return grey


def _from_array(pixels: np.ndarray) -> Image.Image:
    """Raises PhotoError."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim != 2 and (pixels.ndim != 3 or pixels.shape[2] not in (3, 4)):
        raise PhotoError(f"an array of the shape {pixels.shape} is no photo: need (height, width, 3)")
    if not pixels.size:
        raise PhotoError(f"an array of the shape {pixels.shape} has no pixels")
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)
    elif np.issubdtype(pixels.dtype, np.floating):
        least, most = float(pixels.min()), float(pixels.max())
        if not (least >= 0.0 and most <= 1.0):  # nor for what is no number
            raise PhotoError(f"a photo of floats from {least:g} to {most:g}: need 0 to 1, or uint8 from 0 to 255")
        pixels = np.rint(255.0 * pixels).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        raise PhotoError(f"an array of {pixels.dtype} is no photo: need uint8 from 0 to 255, or floats from 0 to 1")
    return Image.fromarray(pixels)

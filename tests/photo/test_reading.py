"""Pictures as cameras, phones and programs store them: each is read alike as file, bytes or picture."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from csi_demo import complete_photo, find_faces
from csi_demo.errors import PhotoError
from csi_demo.photo.reading import open_photo, to_photo

from .stored import exif, noise, stored, with_chunk

# One reader for files, bytes and pictures


@pytest.mark.parametrize(
    ("kind", "orientation"), [*(("JPEG", turn) for turn in range(1, 9)), ("PNG", 6), ("WEBP", 6), ("TIFF", 6)]
)
def test_a_turned_photo_is_upright_however_it_is_handed_over(kind: str, orientation: int, tmp_path: Path) -> None:
    data = stored(noise(24, 16), kind, exif=exif(orientation))
    (tmp_path / "photo").write_bytes(data)
    upright = open_photo(data)
    assert upright.size == ((16, 24) if orientation > 4 else (24, 16))
    assert not upright.info
    assert not upright.getexif()
    opened = Image.open(io.BytesIO(data))
    decoded = Image.open(io.BytesIO(data))
    decoded.load()
    for other in (opened, decoded, str(tmp_path / "photo"), tmp_path / "photo", io.BytesIO(data)):
        assert np.array_equal(to_photo(other), upright)


def test_python_finds_the_face_of_a_phone_photo(astronaut: Image.Image) -> None:
    """The case: a photo with EXIF rotation, as Pillow opens it, was sideways for Python alone."""
    sideways = stored(astronaut.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif(6))
    phone = Image.open(io.BytesIO(sideways))
    assert find_faces(phone) == find_faces(astronaut)
    (filled,) = complete_photo(phone, "mouth", "vae-oneshot", options={"iterations": 1})
    (same,) = complete_photo(astronaut, "mouth", "vae-oneshot", options={"iterations": 1})
    assert np.array_equal(filled, same)
    place = find_faces(astronaut)[0]
    assert np.array_equal(place.frame(phone), place.frame(astronaut))


@pytest.mark.parametrize(
    "pixels",
    [
        np.asarray(noise(20, 12)),
        np.asarray(noise(20, 12)).astype(np.uint16) * 257,
        np.asarray(noise(20, 12)) / 255.0,
        (np.asarray(noise(20, 12)) / 255.0).astype(np.float32),
    ],
    ids=["uint8", "uint16", "float64", "float32"],
)
def test_arrays_are_photos(pixels: np.ndarray) -> None:
    assert np.array_equal(to_photo(pixels), noise(20, 12))


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.zeros((3, 64, 64), np.uint8), r"shape \(3, 64, 64\) is no photo"),
        (np.zeros((64, 64, 3), np.int64), "int64 is no photo"),
        (np.full((64, 64, 3), -1.0), "floats from -1 to -1"),
        (np.full((64, 64, 3), np.nan), "floats from nan to nan"),
        (np.zeros((0, 64, 3), np.uint8), "no pixels"),
        (Image.fromarray(np.zeros((9, 9), np.float32)), "floats, whose range is unknown"),
        (Image.fromarray(np.full((9, 9), 70_000, np.int32)), "more than 16 bits"),
        (7, "is a int: a photo is a picture"),
        (None, "is a NoneType: a photo is a picture"),
        ("/nowhere/photo.jpg", "no such file: photo.jpg"),
    ],
)
def test_what_can_mean_no_photo_or_several_is_named(pixels: Any, said: str) -> None:
    with pytest.raises(PhotoError, match=said):
        complete_photo(pixels, "mouth", "vae-oneshot")


@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "TIFF", "GIF", "BMP", "WEBP", "JPEG", "PNG"])
def test_every_kind_of_file_is_read(kind: str) -> None:
    shown = open_photo(stored(noise(96, 64), kind))
    assert (shown.mode, shown.size) == ("RGB", (96, 64))
    assert np.abs(np.asarray(shown).astype(int) - np.asarray(noise(96, 64))).mean() < 16


def test_of_an_animation_the_first_picture_counts() -> None:
    red, blue = (Image.new("RGB", (16, 16), colour) for colour in ("red", "blue"))
    for kind in ("GIF", "WEBP", "PNG"):
        shown = open_photo(stored(red, kind, save_all=True, append_images=[blue], lossless=True))
        assert shown.getpixel((8, 8)) == (255, 0, 0), kind


# Metadata


ODD = {
    "an orientation that is a text": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0top\0\0\0\0\0",
    "an orientation out of range": exif(77),
    "garbage": b"Exif\0\0garbage that is no TIFF",
    "nothing": b"",
    "a directory beyond the end": b"Exif\0\0II*\0\xff\xff\xff\x7f",
    "a tag of an unknown type": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x63\0\x01\0\0\0\x06\0\0\0\0\0\0\0",
    "a tag whose value lies nowhere": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x0f\x01\x02\0\xff\0\0\0\xf0\xff\xff\x7f\0\0\0\0",
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_metadata_does_not_decide_whether_it_is_a_picture(odd: bytes) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        options = {"exif": odd} if odd else {}
        plain = open_photo(stored(noise(24, 16), kind))
        if kind == "PNG" and odd:
            data = with_chunk(stored(noise(24, 16)), b"eXIf", odd)
        else:
            data = stored(noise(24, 16), kind, **options)
        assert np.array_equal(open_photo(data), plain)
        assert np.array_equal(to_photo(Image.open(io.BytesIO(data))), plain)


@pytest.mark.parametrize(
    ("kind", "content", "sound"),
    [
        (b"tEXt", b"Comment\0\xff", False),
        (b"pHYs", b"\0", True),
        (b"iCCP", b"profile\0\0garbage", True),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b" " * 3_000_000), True),
        (b"gAMA", b"\0\0\0\0", True),
        (b"tIME", b"", False),
        (b"unKn", b"x" * 100, False),
    ],
)
def test_a_broken_part_of_a_png_that_holds_no_pixels_is_left_out(kind: bytes, content: bytes, sound: bool) -> None:
    data = with_chunk(stored(noise(24, 16)), kind, content, sound=sound)
    assert np.array_equal(open_photo(data), noise(24, 16))


def test_a_broken_colour_profile_is_none() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        data = stored(noise(24, 16), kind, icc_profile=b"no profile at all")
        assert np.array_equal(open_photo(data), open_photo(stored(noise(24, 16), kind)))


# Files that end too early


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP"])
def test_a_truncated_file_is_called_that(kind: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    data, file = stored(Image.fromarray(pixels), kind), tmp_path / "holiday.img"
    for share in (0.2, 0.6, 0.95):
        file.write_bytes(data[: int(share * len(data))])
        with pytest.raises(PhotoError, match=r"holiday\.img is cut off: the file ends before its picture does"):
            open_photo(file)


def test_an_empty_file_is_called_that() -> None:
    with pytest.raises(PhotoError, match="is empty"):
        open_photo(b"")


def test_a_picture_that_pillow_opened_and_whose_file_is_cut_off_is_called_that() -> None:
    data = stored(noise(120, 90), "JPEG")
    with pytest.raises(PhotoError, match="cut off"):
        to_photo(Image.open(io.BytesIO(data[: len(data) // 2])))


# Files that break off after their last pixel


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("rest", [b"", b"\xff", bytes(5000)], ids=["none", "half", "zeros"])
def test_a_jpeg_without_its_end_is_read_with_a_note(options: dict[str, Any], rest: bytes) -> None:
    data, notes = stored(noise(200, 160), "JPEG", **options), []
    assert np.array_equal(open_photo(data[:-2] + rest, "me.jpg", notes), open_photo(data))
    assert notes == ["me.jpg breaks off after its last pixel, without an end marker: it was read all the same"]


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
def test_a_jpeg_that_lacks_pixels_is_refused(options: dict[str, Any]) -> None:
    data = stored(noise(200, 160), "JPEG", **options)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    for end in (*range(len(data) - 30, len(data) - 2), len(data) // 2, *scans[1:]):
        for rest in (b"", bytes(5000)):
            with pytest.raises(PhotoError, match="cut off"):
                open_photo(data[:end] + rest)


@pytest.mark.parametrize(("kind", "missing"), [("PNG", 12), ("GIF", 1), ("WEBP", 1)])
def test_other_files_without_their_end_are_read(kind: str, missing: int) -> None:
    for width in range(40, 60, 4):
        data = stored(noise(width, 40), kind)
        if kind != "WEBP" or data.endswith(b"\0"):
            assert np.array_equal(open_photo(data[:-missing]), open_photo(data))

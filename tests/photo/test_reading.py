"""Pictures as cameras, phones and programs store them: each is read alike as file, bytes or picture."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms

from csi_demo import complete_photo, find_faces, masks
from csi_demo.errors import PhotoError
from csi_demo.photo.colour import srgb_profile
from csi_demo.photo.reading import open_photo, open_picture, to_photo
from csi_demo.pixels import png

from ..server import ROOT

PORTRAIT = ROOT / "examples" / "astronaut.jpg"


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)


def stored(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    if kind == "HEIF":  # which the page's own library reads, but does not write
        pillow_heif.from_pillow(picture).save(file, **({"quality": 90} | options))
    else:
        picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int) -> bytes:
    made = Image.Exif()
    made[0x0112] = orientation
    return made.tobytes()


def chunk(kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    check = zlib.crc32(kind + content) ^ (not sound)
    return len(content).to_bytes(4, "big") + kind + content + check.to_bytes(4, "big")


def with_chunk(data: bytes, kind: bytes, content: bytes, *, sound: bool = True) -> bytes:
    """A PNG file with one more chunk after its header."""
    return data[:33] + chunk(kind, content, sound=sound) + data[33:]


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


# Colours


def display_p3() -> bytes:
    """An ICC profile of Display P3: sRGB's curve, wider primaries."""
    return profile(((0.51512, 0.2412, -0.00105), (0.29198, 0.69225, 0.04189), (0.1571, 0.06657, 0.78407)))


def adobe_rgb() -> bytes:
    """An ICC profile of Adobe RGB: a gamma of 563/256, a wider green."""
    columns = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
    return profile(columns, b"curv" + bytes(4) + (1).to_bytes(4, "big") + (0x0233).to_bytes(2, "big"))


def profile(columns: tuple[tuple[float, ...], ...], curve: bytes | None = None) -> bytes:
    """A display profile of version 2 from the primaries' XYZ (D50) and one curve, sRGB's by default."""
    if curve is None:
        levels = np.linspace(0, 1, 1024)
        light = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        curve = b"curv" + bytes(4) + (1024).to_bytes(4, "big") + np.rint(65535 * light).astype(">u2").tobytes()

    def xyz(values: tuple[float, ...]) -> bytes:
        return b"XYZ " + bytes(4) + b"".join(round(65536 * value).to_bytes(4, "big", signed=True) for value in values)

    text = b"desc" + bytes(4) + (5).to_bytes(4, "big") + b"made\0" + bytes(78)
    tags = {b"desc": text, b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"cprt": b"text" + bytes(4) + b"none\0"}
    tags |= {name: xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    tags |= {name: curve for name in (b"rTRC", b"gTRC", b"bTRC")}
    table, body, at = len(tags).to_bytes(4, "big"), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += name + at.to_bytes(4, "big") + len(content).to_bytes(4, "big")
        body, at = body + content, at + len(content)
    white = xyz((0.9642, 1.0, 0.8249))[8:]
    head = at.to_bytes(4, "big") + bytes(4) + bytes((2, 16, 0, 0)) + b"mntrRGB XYZ " + bytes(12) + b"acsp" + bytes(28)
    return head + white + bytes(128 - len(head) - 12) + table + body


def seen(colour: tuple[int, ...], gamma: float | None, matrix: tuple[tuple[float, ...], ...]) -> np.ndarray:
    """A colour of another space in sRGB; gamma: None for sRGB's curve; matrix: its linear light in sRGB's."""
    levels = np.array(colour) / 255
    light = (
        np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        if gamma is None
        else levels**gamma
    )
    light = (np.array(matrix) @ light).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


# As CSS Color 4 has them.
P3 = ((1.2249, -0.2249, 0.0), (-0.0420, 1.0420, 0.0), (-0.0196, -0.0786, 1.0983))
ADOBE = ((1.3984, -0.3984, 0.0), (0.0, 1.0, 0.0), (0.0, -0.0429, 1.0429))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "HEIF", "AVIF"])
def test_a_display_p3_photo_has_the_colours_that_a_screen_shows(kind: str) -> None:
    """The case: the page's result had other colours than the photo beside it."""
    options = {} if kind in ("PNG", "TIFF") else {"quality": 100}
    data = stored(Image.new("RGB", (32, 32), (200, 100, 60)), kind, icc_profile=display_p3(), **options)
    shown = np.asarray(open_photo(data))[16, 16].astype(int)
    assert np.abs(shown - seen((200, 100, 60), None, P3)).max() <= (4 if options else 1), shown
    opened = np.asarray(to_photo(Image.open(io.BytesIO(data))))[16, 16].astype(int)
    assert np.array_equal(opened, shown)


def test_an_adobe_rgb_photo_is_converted() -> None:
    shown = open_photo(stored(Image.new("RGB", (8, 8), (100, 160, 90)), icc_profile=adobe_rgb())).getpixel((4, 4))
    assert np.abs(shown - seen((100, 160, 90), 563 / 256, ADOBE)).max() <= 2, shown


def test_a_transparent_photo_is_converted_before_it_is_laid_on_white() -> None:
    data = stored(Image.new("RGBA", (8, 8), (200, 100, 60, 128)), icc_profile=display_p3())
    wanted = 255 - 128 / 255 * (255 - seen((200, 100, 60), None, P3))
    assert np.abs(open_photo(data).getpixel((4, 4)) - wanted).max() <= 2


def test_a_grey_photo_with_a_profile_of_colours_stays_grey() -> None:
    shown = open_photo(stored(Image.new("L", (8, 8), 77), icc_profile=display_p3())).getpixel((4, 4))
    assert np.ptp(shown) <= 1
    assert abs(shown[0] - 77) <= 1


def test_a_png_that_says_its_gamma_is_converted() -> None:
    data = with_chunk(stored(Image.new("RGB", (8, 8), (128, 55, 0))), b"gAMA", (100_000).to_bytes(4, "big"))
    assert open_photo(data).getpixel((4, 4)) == (188, 128, 0)  # light in proportion
    usual = with_chunk(stored(noise(24, 16)), b"gAMA", (45_455).to_bytes(4, "big"))
    assert np.array_equal(open_photo(usual), noise(24, 16))


@pytest.mark.parametrize("said", ["by this program", "by another"])
def test_an_srgb_photo_keeps_its_pixels(said: str) -> None:
    known = (
        srgb_profile()
        if said == "by this program"
        else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    assert np.array_equal(open_photo(stored(noise(64, 48), icc_profile=known)), noise(64, 48))


def test_results_say_that_they_are_in_srgb_and_nothing_else(tmp_path: Path) -> None:
    exif_and_profile = {"exif": exif(6), "icc_profile": display_p3(), "dpi": (72, 72)}
    phone = Image.open(io.BytesIO(stored(noise(64, 64), "PNG", **exif_and_profile)))
    (filled,) = complete_photo(phone, "mouth", "vae-oneshot", options={"iterations": 1})
    written = Image.open(io.BytesIO(png(filled)))
    assert written.info == {"srgb": 0}
    filled.save(tmp_path / "filled.png")
    saved = Image.open(tmp_path / "filled.png")
    assert saved.info["icc_profile"] == srgb_profile()
    assert not saved.getexif()
    assert np.array_equal(to_photo(Image.open(io.BytesIO(png(filled)))), filled)


# 16 bits and other depths


def tiff16(levels: np.ndarray, bits: int, *, white_is_zero: bool = False, order: str = "<") -> bytes:
    """A grey TIFF file of one strip, of 12 bits packed or of 16."""
    height, width = levels.shape
    if bits == 12:
        pairs = levels.reshape(-1, 2)
        first, second = pairs[:, 0], pairs[:, 1]
        strip = np.stack((first >> 4, (first & 15) << 4 | second >> 8, second & 255), 1).astype(np.uint8).tobytes()
    else:
        strip = levels.astype(f"{order}u2").tobytes()
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, int(not white_is_zero))]
    entries += [(273, 8), (277, 1), (278, height), (279, len(strip))]
    table = b"".join(struct.pack(f"{order}HHIHxx", tag, 3, 1, value) for tag, value in entries)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8 + len(strip))
    return head + strip + struct.pack(f"{order}H", len(entries)) + table + b"\0\0\0\0"


def png_of(depth: int, kind: int, rows: np.ndarray, clear: tuple[int, ...]) -> bytes:
    """A PNG file of one transparent colour; rows: (height, bytes)."""
    height, width = rows.shape[0], rows.shape[1] * 8 // depth // {0: 1, 2: 3}[kind]
    lines = np.pad(rows, ((0, 0), (1, 0))).astype(np.uint8)
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    return b"".join((b"\x89PNG\r\n\x1a\n", *parts, chunk(b"IDAT", zlib.compress(lines.tobytes())), chunk(b"IEND", b"")))


def ramp(width: int = 64, height: int = 32) -> np.ndarray:
    return np.linspace(0, 65535, width * height).astype(np.uint16).reshape(height, width)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("white_is_zero", [True, False])
def test_grey_of_16_bits_is_no_negative(white_is_zero: bool, order: str) -> None:
    """The case: a TIFF in which white is zero was read as its negative."""
    levels = 65535 - ramp() if white_is_zero else ramp()
    shown = open_photo(tiff16(levels, 16, white_is_zero=white_is_zero, order=order))
    assert np.array_equal(shown, open_photo(stored(Image.fromarray(np.rint(ramp() / 257).astype(np.uint8)))))


@pytest.mark.parametrize("white_is_zero", [True, False])
def test_grey_of_12_bits_is_not_dark(white_is_zero: bool) -> None:
    levels = ramp() >> 4
    shown = open_photo(tiff16(4095 - levels if white_is_zero else levels, 12, white_is_zero=white_is_zero))
    assert np.abs(np.asarray(shown)[..., 0].astype(int) - np.rint(ramp() / 257)).max() <= 1


def test_a_mask_in_which_white_is_zero_keeps_what_is_white() -> None:
    keep = np.ones((32, 64), np.uint16)
    keep[8:16, 8:16] = 0
    mask = masks.from_image(open_picture(tiff16(65535 * (1 - keep), 16, white_is_zero=True)))
    assert np.array_equal(mask, keep.astype(bool))


@pytest.mark.parametrize("clear", [0x1234, 0x8180])
def test_a_transparent_grey_of_16_bits_is_that_grey_alone(clear: int) -> None:
    """The case: a transparent colour that no pixel has turned grey levels white."""
    levels = ramp()
    levels[levels == 0x1234] += 1
    levels[4, 4] = 0x8180
    shown = np.asarray(open_photo(png_of(16, 0, levels.astype(">u2").view(np.uint8), (clear,))))[..., 0]
    wanted = np.rint(levels / 257)
    wanted[levels == clear] = 255
    assert np.array_equal(shown, wanted)


def test_a_transparent_colour_of_16_bits_is_that_colour_alone() -> None:
    pixels = np.full((2, 2, 3), 0x1200, np.uint16)
    pixels[0, 0], pixels[1, 1] = 0x1234, 0x4321
    data = png_of(16, 2, pixels.astype(">u2").reshape(2, 6).view(np.uint8), (0x1234,) * 3)
    assert np.array_equal(np.asarray(open_photo(data))[..., 0], [[255, 18], [18, 67]])


@pytest.mark.parametrize("depth", [2, 4])
def test_a_transparent_grey_of_few_bits_is_that_grey(depth: int) -> None:
    most, count = 2**depth - 1, 8 // depth
    levels = np.resize(np.arange(most + 1), (2, 16))
    packed = sum(levels[:, number::count] << depth * (count - 1 - number) for number in range(count))
    shown = np.asarray(open_photo(png_of(depth, 0, np.asarray(packed), (0,))))[..., 0]
    assert np.array_equal(shown, np.where(levels == 0, 255, levels * 255 // most))


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

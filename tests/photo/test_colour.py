"""Colours of photos: profiles, gamma, transparency, and depths other than 8 bits."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from csi_demo import complete_photo, masks
from csi_demo.photo.colour import srgb_profile
from csi_demo.photo.reading import open_photo, open_picture, to_photo
from csi_demo.pixels import png

from .stored import chunk, exif, noise, stored, with_chunk


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

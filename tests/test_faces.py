from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from csi_demo import faces, masks


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def stored(picture: Image.Image, **options) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, **options)
    file.seek(0)
    return file


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    turned = faces.open_photo(stored(photo(8, 4), format="PNG", exif=exif))
    assert turned.size == (4, 8)


def test_transparency_becomes_white_and_16_bit_grey_keeps_its_range():
    assert (
        faces.open_photo(stored(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), format="PNG")).getpixel((0, 0)) == (255,) * 3
    )
    grey = Image.fromarray(np.full((4, 4), 128 * 257, dtype=np.uint16))
    assert faces.open_photo(stored(grey, format="PNG")).getpixel((0, 0)) == (128,) * 3


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_said_in_one_line(content):
    with pytest.raises(faces.PhotoError, match="not a picture that can be read") as caught:
        faces.open_photo(io.BytesIO(content))
    assert "\n" not in str(caught.value)


def test_huge_pictures_are_refused_before_they_are_decoded():
    with pytest.raises(faces.PhotoError, match="40 megapixels at most"):
        faces.open_photo(stored(Image.new("1", (9500, 9500)), format="PNG"))


@pytest.mark.parametrize("size", [(64, 64), (200, 131), (64, 300), (37, 50)])
def test_paste_changes_the_hole_alone(size):
    picture = photo(*size)
    placement = faces.Placement.centred(size)
    mask = placement.photo_mask(masks.family("mouth"), size)
    filled = placement.paste(picture, mask, Image.new("RGB", (64, 64), (1, 2, 3)))
    before, after = np.asarray(picture), np.asarray(filled)
    assert filled.size == size
    assert np.array_equal(before[mask], after[mask])
    assert (after[~mask] == (1, 2, 3)).all()


def test_frame_and_mask_of_an_aligned_frame_are_its_own():
    picture, placement = photo(64, 64), faces.Placement.centred((64, 64))
    assert np.array_equal(np.asarray(placement.frame(picture)), np.asarray(picture))
    mask = masks.family("random:3")
    assert np.array_equal(placement.frame_mask(placement.photo_mask(mask, (64, 64))), mask)


def test_a_large_photo_masks_go_there_and_back():
    placement = faces.Placement.centred((500, 400))
    mask = masks.family("eyes")
    assert np.array_equal(placement.frame_mask(placement.photo_mask(mask, (500, 400))), mask)


def test_a_hole_outside_the_frame_is_refused():
    mask = np.ones((100, 200), dtype=bool)
    mask[10:20, 5:15] = False
    with pytest.raises(faces.PhotoError, match="outside the square"):
        faces.Placement.centred((200, 100)).frame_mask(mask)

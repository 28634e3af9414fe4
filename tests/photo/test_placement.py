from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from csi_demo import masks
from csi_demo.errors import PhotoError
from csi_demo.photo.placement import Placement
from csi_demo.photo.reading import open_photo


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
    turned = open_photo(stored(photo(8, 4), format="PNG", exif=exif))
    assert turned.size == (4, 8)


def test_transparency_becomes_white_and_16_bit_grey_keeps_its_range():
    assert open_photo(stored(Image.new("RGBA", (4, 4), (255, 0, 0, 0)), format="PNG")).getpixel((0, 0)) == (255,) * 3
    grey = Image.fromarray(np.full((4, 4), 128 * 257, dtype=np.uint16))
    assert open_photo(stored(grey, format="PNG")).getpixel((0, 0)) == (128,) * 3


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_said_in_one_line(content):
    with pytest.raises(PhotoError, match="not a picture that can be read") as caught:
        open_photo(io.BytesIO(content))
    assert "\n" not in str(caught.value)


def test_huge_pictures_are_refused_before_they_are_decoded():
    with pytest.raises(PhotoError, match="40 megapixels at most"):
        open_photo(stored(Image.new("1", (9500, 9500)), format="PNG"))


@pytest.mark.parametrize("size", [(64, 64), (200, 131), (64, 300), (37, 50)])
def test_paste_changes_the_hole_alone(size):
    picture = photo(*size)
    placement = Placement.centred(size)
    mask = placement.photo_mask(masks.family("mouth"), size)
    filled = placement.paste(picture, mask, Image.new("RGB", (64, 64), (1, 2, 3)), blend=False)
    before, after = np.asarray(picture), np.asarray(filled)
    assert filled.size == size
    assert np.array_equal(before[mask], after[mask])
    assert (after[~mask] == (1, 2, 3)).all()


def test_frame_and_mask_of_an_aligned_frame_are_its_own():
    picture, placement = photo(64, 64), Placement.centred((64, 64))
    assert np.array_equal(np.asarray(placement.frame(picture)), np.asarray(picture))
    mask = masks.family("random:3")
    assert np.array_equal(placement.frame_mask(placement.photo_mask(mask, (64, 64))), mask)


def test_a_large_photo_masks_go_there_and_back():
    placement = Placement.centred((500, 400))
    mask = masks.family("eyes")
    assert np.array_equal(placement.frame_mask(placement.photo_mask(mask, (500, 400))), mask)


def test_all_of_a_frame_lies_in_it_wherever_it_is():
    rng, size = np.random.default_rng(0), (1200, 900)
    on_the_edge = Placement(1916.9285120794389, 1474.8467257856125, 2276.413592904105, 3.066734162850056)
    assert not on_the_edge.frame_mask(on_the_edge.photo_mask("full", (4000, 3000))).any()
    for x, y, side, angle in rng.uniform((300, 300, 200, -45), (900, 600, 800, 45), (60, 4)):
        placement = Placement(x, y, side, angle)
        assert not placement.frame_mask(placement.photo_mask("full", size)).all()


def test_a_hole_outside_the_frame_is_refused():
    mask = np.ones((100, 200), dtype=bool)
    mask[10:20, 5:15] = False
    with pytest.raises(PhotoError, match="outside the square"):
        Placement.centred((200, 100)).frame_mask(mask)


TURNED = [(150.0, 110.0, 130.0, 25.0), (40.5, 30.0, 90.0, -40.0), (100.0, 75.0, 64.0, 0.5), (60.0, 60.0, 40.0, 10.0)]


@pytest.mark.parametrize("numbers", TURNED)
def test_points_go_to_the_photo_and_back(numbers):
    placement = Placement(*numbers)
    points = np.random.default_rng(0).uniform(0, 64, (20, 2))
    assert np.allclose(placement.to_frame(placement.to_photo(points)), points)
    assert np.allclose(placement.to_photo(np.array([32.0, 32.0])), numbers[:2])


def test_corners_turn_clockwise():
    corners = Placement(10.0, 20.0, 8.0, 90.0).corners
    assert np.allclose(corners, [(14, 16), (14, 24), (6, 24), (6, 16)])


def test_an_aligned_frame_in_a_larger_photo_is_cut_out_unchanged_and_its_edge_goes_on_outside():
    pixels = np.asarray(photo(100, 90))
    frame = Placement(42.0, 37.0, 64.0).frame(Image.fromarray(pixels))
    assert np.array_equal(np.asarray(frame), pixels[5:69, 10:74])
    outside = Placement(20.0, 80.0, 64.0).frame(Image.fromarray(pixels))
    padded = np.pad(pixels, ((64, 64), (64, 64), (0, 0)), mode="edge")
    assert np.array_equal(np.asarray(outside), padded[64 + 48 : 64 + 112, 64 - 12 : 64 + 52])


def test_a_turned_frame_shows_the_photo_upright():
    pixels = np.asarray(photo(64, 64))
    turned = Image.fromarray(np.ascontiguousarray(np.rot90(pixels, -1)))  # clockwise
    frame = np.asarray(Placement(32.0, 32.0, 64.0, 90.0).frame(turned)).astype(int)
    assert np.abs(frame - pixels).max() <= 1


def test_a_large_frame_is_the_mean_of_what_is_below_it():
    picture = photo(256, 256)
    frame = np.asarray(Placement.centred((256, 256)).frame(picture)).astype(int)
    assert np.abs(frame - np.asarray(picture.resize((64, 64), Image.Resampling.BOX))).max() <= 1


@pytest.mark.parametrize("numbers", [TURNED[0], (150.0, 100.0, 170.0, -40.0)])
def test_masks_of_a_turned_frame_go_there_and_back(numbers):
    placement, mask = Placement(*numbers), masks.family("center")
    there = placement.photo_mask(mask, (300, 200))
    assert 0.9 < (~there).sum() / (numbers[2] / 2) ** 2 < 1.1
    assert np.array_equal(placement.frame_mask(there), mask)


@pytest.mark.parametrize("blend", [True, False])
@pytest.mark.parametrize("numbers", TURNED)
@pytest.mark.parametrize("name", ["mouth", "left", "full"])
def test_paste_leaves_the_photo_alone_outside_the_hole(numbers, name, blend):
    picture, placement = photo(300, 200), Placement(*numbers)
    mask = placement.photo_mask(masks.family(name), picture.size)
    filled = np.asarray(placement.paste(picture, mask, photo(64, 64, seed=1), blend))
    assert np.array_equal(filled[mask], np.asarray(picture)[mask])
    assert (filled[~mask] != np.asarray(picture)[~mask]).any(1).mean() > 0.9


def test_an_exact_frame_is_pasted_as_it_is():
    picture, fill, placement = photo(100, 90), photo(64, 64, seed=1), Placement(42.0, 37.0, 64.0)
    mask = placement.photo_mask(masks.family("mouth"), picture.size)
    filled = np.asarray(placement.paste(picture, mask, fill))
    assert np.array_equal(filled[5:69, 10:74][~masks.family("mouth")], np.asarray(fill)[~masks.family("mouth")])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1,2", "is no place in a photo: need X,Y,SIZE"),
        ("a,b,c", "is no place in a photo"),
        ("1,2,nan", "needs numbers"),
        ("1,2,0", "out of range: 8 to 20000"),
    ],
)
def test_a_bad_place_is_refused(text, said):
    with pytest.raises(PhotoError, match=said):
        Placement.from_numbers(text)


def test_a_place_by_hand():
    assert Placement.from_numbers("10,20.5,64,-15") == Placement(10.0, 20.5, 64.0, -15.0)
    with pytest.raises(PhotoError, match="centre outside the photo, which is 30x40"):
        Placement.from_numbers("50,20,64").frame(photo(30, 40))

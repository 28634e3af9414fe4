"""Finding faces, and filling in the one that was found."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from csi_demo import masks
from csi_demo.complete import complete_photo, fit_mask, place_frame
from csi_demo.errors import PhotoError
from csi_demo.photo.finding import _mean, find_faces
from csi_demo.photo.placement import Placement
from csi_demo.photo.reading import open_photo
from csi_demo.research.studies.finding import EYES, evaluate_alignment

COLLINS = np.array([(203.4, 101.0), (247.0, 103.4)])  # her eyes in the astronaut's 512x512 photo


def eye_error(found: Placement, eyes: np.ndarray) -> float:
    """Mean distance in frame pixels between eyes in the photo and where the frame has them."""
    return float(np.linalg.norm(found.to_frame(eyes) - EYES, axis=1).mean())


def test_one_face(astronaut: Image.Image):
    (found,) = find_faces(astronaut)
    assert eye_error(found, COLLINS) < 2.0
    assert abs(found.angle) < 6


@pytest.mark.parametrize("angle", [-35, -15, 20, 30])
def test_a_tilted_face(astronaut: Image.Image, angle: int):
    turned = astronaut.rotate(-angle, resample=Image.Resampling.BICUBIC, fillcolor=(120, 110, 100))
    turn = Placement(256.0, 256.0, 512.0, angle)
    found = find_faces(turned)[0]
    assert eye_error(found, turn.to_photo(COLLINS / 8.0)) < 2.5
    assert found.angle == pytest.approx(angle, abs=7)


@pytest.mark.parametrize("size", [(80, 80), (300, 300), (4000, 4000)])
def test_tiny_and_huge_photos(astronaut: Image.Image, size: tuple[int, int]):
    found = find_faces(astronaut.resize(size, Image.Resampling.BICUBIC))[0]
    assert eye_error(found, COLLINS * size[0] / 512) < 3.5


def test_a_group_has_its_largest_face_first(astronaut: Image.Image):
    group = Image.new("RGB", (1100, 600), (120, 130, 140))
    for corner, size in (((20, 200), 300), ((330, 30), 512), ((850, 100), 230)):
        group.paste(astronaut.resize((size, size), Image.Resampling.LANCZOS), corner)
    found = find_faces(group)
    assert len(found) == 3
    assert eye_error(found[0], COLLINS + np.array([330, 30])) < 2.0
    assert [face.size for face in found] == sorted((face.size for face in found), reverse=True)
    assert place_frame(group, 3) == found[2]
    with pytest.raises(PhotoError, match="there is no face 4: 3 faces were found"):
        place_frame(group, 4)


def test_a_face_at_the_border_comes_after_one_in_the_middle(astronaut: Image.Image):
    group = Image.new("RGB", (900, 600), (120, 130, 140))
    face = (140, 20, 330, 300)  # of the astronaut alone
    for corner, size in (((-60, 60), (340, 500)), ((370, 120), (300, 442))):
        group.paste(astronaut.crop(face).resize(size, Image.Resampling.LANCZOS), corner)
    cut, whole = sorted(find_faces(group), key=lambda found: found.x)
    assert cut.size > whole.size
    assert find_faces(group)[0] == whole


def test_a_frame_is_not_pulled_by_an_end_on_another_face():
    face, near, other = (Placement(x, 100.0, 64.0, 5.0) for x in (100.0, 104.0, 150.0))
    mean, logit = _mean([(face, 5.0), (near, 5.0), (other, 9.0)], face) or pytest.fail("no end is of the face")
    assert (mean.x, mean.y, mean.size, mean.angle, logit) == pytest.approx((102.0, 100.0, 64.0, 5.0, 5.0))
    assert _mean([(other, 9.0)], face) is None


def test_a_photo_from_a_turned_camera(astronaut: Image.Image):
    exif, stored = Image.Exif(), io.BytesIO()
    exif[0x0112] = 6
    astronaut.rotate(90, expand=True).save(stored, format="JPEG", exif=exif, quality=95)
    stored.seek(0)
    assert eye_error(find_faces(open_photo(stored))[0], COLLINS) < 2.0


def test_without_a_face_the_middle_is_taken_and_that_is_said(capsys):
    y, x = np.mgrid[:120, :200]
    plain = Image.fromarray(np.stack((x, y, x // 2 + y // 2), 2).astype(np.uint8))
    assert find_faces(plain) == []
    assert place_frame(plain) == Placement.centred((200, 120))
    assert capsys.readouterr().err.startswith("csi_demo: no face found: ")
    with pytest.raises(PhotoError, match="there is no face 1: no faces were found"):
        place_frame(plain, 1)


def test_an_aligned_frame_is_its_own_place(capsys):
    assert place_frame(Image.new("RGB", (64, 64))) == Placement.centred((64, 64))
    assert capsys.readouterr().err == ""


def test_a_family_hole_outside_the_photo_is_refused():
    with pytest.raises(masks.MaskError, match="'0,0,8,8' lies outside the photo"):
        fit_mask("0,0,8,8", Placement(10.0, 10.0, 200.0), Image.new("RGB", (100, 40)))


def test_complete_photo_fills_the_face_that_was_found(astronaut: Image.Image):
    (filled,) = complete_photo(astronaut, "mouth")
    mask, _ = fit_mask("mouth", find_faces(astronaut)[0], astronaut)
    before, after = np.asarray(astronaut), np.asarray(filled)
    assert np.array_equal(before[mask], after[mask])
    assert (before[~mask] != after[~mask]).any(1).mean() > 0.9
    assert not mask[137:147, 210:238].any(), "her mouth"


@pytest.mark.parametrize("box", [(0, 0, 512, 384), (110, 10, 350, 190)], ids=["a portrait", "a face as large as it"])
@pytest.mark.parametrize("hole", ["mouth", "full"])
def test_a_face_in_twelve_megapixels_is_found(astronaut: Image.Image, box: tuple[int, int, int, int], hole: str):
    photo = astronaut.resize((4000, 3000), Image.Resampling.BICUBIC, box=box)
    placement = find_faces(photo)[0]
    mask, _ = fit_mask(hole, placement, photo)
    pasted = np.asarray(placement.paste(photo, mask, Image.new("RGB", (64, 64), (0, 255, 0))))
    assert np.array_equal(pasted[mask], np.asarray(photo)[mask])
    assert (pasted[~mask] != np.asarray(photo)[~mask]).any(1).mean() > 0.9


@pytest.mark.slow
def test_accuracy_on_turned_and_scaled_pictures(whole_pictures: Path):
    figures = evaluate_alignment(whole_pictures, limit=40, seed=1)
    assert figures["n"] == 40
    assert figures["found"] >= 0.95
    assert figures["eye_error_median"] <= 1.5
    assert figures["eye_error_p95"] <= 4.0
    assert math.isfinite(figures["angle_error_median"])

"""A session of the photo editor: the brush, latents, samples, commits, undo, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from csi_demo import weights
from csi_demo.editing import Brush, brush, transfer
from csi_demo.editing.editor import Editor
from csi_demo.editing.strokes import draw, from_json
from csi_demo.errors import EditError, UserError
from csi_demo.models.ian import IAN
from csi_demo.photo.placement import Placement
from csi_demo.pixels import to_tensor

EXAMPLES = Path(__file__).parents[2] / "examples"
PLACE = Placement(150.0, 100.0, 160.0, 8.0)


@pytest.fixture
def editor(network: IAN, picture: Image.Image) -> Editor:
    return Editor(picture, PLACE, network=network)


def same(first: Image.Image, second: Image.Image) -> bool:
    return first.size == second.size and np.array_equal(np.asarray(first), np.asarray(second))


def test_a_photo_that_is_opened_is_as_it_was(editor: Editor, picture: Image.Image):
    assert same(editor.photo, picture)
    assert same(editor.frame, PLACE.frame(picture))


@pytest.mark.parametrize("local", [False, True])
def test_a_stroke_is_one_gradient_step_on_the_latents(network: IAN, picture: Image.Image, local: bool):
    editor = Editor(picture, PLACE, network=network, brush=Brush(local=local))
    z = torch.tensor(editor.latents)[None].requires_grad_()
    x, y = PLACE.to_photo(np.array([20.0, 30.0]))
    patch = network.generator(z)[:, :, 26:34, 16:24]  # 8 frame pixels around (20, 30)
    wanted = torch.tensor([200.0, 30.0, 60.0])[None, :, None, None] / 127.5 - 1.0
    (slope,) = torch.autograd.grad((patch - wanted).square().mean(), z)
    editor.paint(float(x), float(y), 8 * 160 / 64, "#c81e3c")
    if local:  # as far as the picture's own change allows
        inverse = torch.linalg.inv(network.metric + 0.1 * torch.eye(8))
        slope = 12.0 * slope @ (inverse / inverse.diagonal().mean())
    assert np.allclose(editor.latents, (z - 0.05 * (1 + 8) * slope).detach()[0].numpy(), atol=1e-5)


def test_a_stroke_leaves_alone_what_it_does_not_come_near(network: IAN, picture: Image.Image, monkeypatch):
    def drawn(keep: float) -> np.ndarray:
        monkeypatch.setattr(brush, "KEEP", keep)
        editor = Editor(picture, PLACE, network=network)
        editor.paint(110, 100, 30, "#20c040", steps=12, stroke=1)
        before = np.asarray(editor.views["edited"]).astype(int)
        for x in (180.0, 190.0):
            editor.paint(x, 100, 20, "#ffffff", steps=12, stroke=2)
        return np.abs(np.asarray(editor.views["edited"]) - before)[:, :24].mean()

    assert drawn(60.0) < 0.95 * drawn(0.0)


def test_a_stroke_holds_what_was_there_before_its_first_move(editor: Editor):
    editor.paint(120, 100, 20, "#ffffff", stroke=1)
    moment, first = editor._held
    assert moment is editor._now
    editor.paint(160, 100, 20, "#ffffff", stroke=1)
    second = editor._held[1]
    assert second.picture is first.picture
    assert bool((second.where <= first.where).all())
    assert second.where.sum() < first.where.sum()
    editor.paint(160, 100, 20, "#ffffff", stroke=2)
    assert editor._held[1].picture is not first.picture
    assert editor._held[1].where.sum() > second.where.sum()
    held = editor._held
    with pytest.raises(EditError):
        editor.paint(900, 100, 20, "#ffffff", stroke=2)
    assert editor._held is held


def test_strokes_lead_to_the_colour_and_the_photo_follows(editor: Editor, picture: Image.Image):
    def distance() -> float:
        return float(np.abs(np.asarray(editor.views["edited"])[24:40, 24:40].astype(float) - 255).mean())

    before = distance()
    editor.paint(150, 100, 40, (255, 255, 255), steps=100)
    assert distance() < before - 3
    changed = np.abs(np.asarray(editor.photo).astype(int) - np.asarray(picture)).max(2)
    assert changed[90:110, 140:160].mean() > changed[:8].mean()
    assert changed[:8].max() == 0  # above the square


def test_steps_at_once_are_steps_one_by_one(editor: Editor, network: IAN, picture: Image.Image):
    editor.paint(140, 90, 30, "#101010", steps=5, stroke=1)
    other = Editor(picture, PLACE, network=network)
    for _ in range(5):
        other.paint(140, 90, 30, "#101010", stroke=1)
    assert np.array_equal(editor.latents, other.latents)
    assert same(editor.photo, other.photo)


def test_lightening_and_darkening(editor: Editor):
    def brightness() -> float:
        return float(np.asarray(editor.views["edited"])[24:40, 24:40].mean())

    start = brightness()
    editor.lighten(150, 100, 40, 10)
    lighter = brightness()
    editor.lighten(150, 100, 40, -25)
    assert lighter > start > brightness()


def test_frame_is_the_equation_on_the_views(editor: Editor):
    editor.paint(150, 100, 40, "#ffffff", steps=30)
    ground = [
        np.asarray(editor.views[name]) / np.float32(127.5) - 1.0 for name in ("frame", "edited", "reconstruction")
    ]
    expected = np.rint((transfer.edit_frame(*ground, editor.strength) + 1.0) * 127.5).clip(0, 255)
    assert np.abs(np.asarray(editor.frame) - expected).max() <= 2  # the views are rounded to levels


def test_undo_and_redo_go_back_and_forth_without_loss(editor: Editor):
    seen = [editor.photo]
    for number in range(12):
        editor.paint(110 + 7 * number, 100, 20, "#20c040", steps=3)
        seen.append(editor.photo)
    for expected in reversed(seen[:-1]):
        assert editor.undo()
        assert same(editor.photo, expected)
    assert not editor.undo()
    assert not editor.undoable
    for expected in seen[1:]:
        assert editor.redo()
        assert same(editor.photo, expected)
    assert not editor.redo()
    editor.undo()
    editor.reset()
    assert not editor.redoable  # what was done instead takes its place


def test_the_moves_of_a_stroke_are_undone_together(editor: Editor, picture: Image.Image):
    for number in range(5):
        editor.paint(120 + 5 * number, 100, 20, "#ffffff", stroke=1)
    editor.paint(120, 90, 20, "#ffffff", stroke=2)
    assert editor.undo()
    assert editor.undo()
    assert not editor.undoable
    assert same(editor.photo, picture)


def test_a_commit_is_what_the_next_edit_starts_from(editor: Editor, picture: Image.Image):
    seen = []
    for number in range(4):
        editor.paint(110 + 15 * number, 100, 30, "#ffffff", steps=20)
        edited = editor.photo
        editor.commit()
        assert same(editor.photo, edited)
        assert same(editor.before, edited)
        editor.paint(120, 90, 30, "#000000", steps=10)
        editor.reset()
        assert same(editor.photo, edited)
        seen.append(edited)
    while editor.undo():
        pass
    assert same(editor.photo, picture)
    while editor.redo():
        pass
    assert same(editor.photo, seen[-1])


def test_latents_are_read_and_set(editor: Editor):
    values = editor.latents
    values[3] = 2.5
    before = editor.photo
    editor.latents = values
    assert editor.latents[3] == 2.5
    assert not same(editor.photo, before)
    assert editor.undo()
    assert same(editor.photo, before)


@pytest.mark.parametrize("values", [[0.0] * 7, [0.0] * 7 + [float("nan")], [0.0] * 7 + [9.0], [[0.0] * 8]])
def test_latents_that_are_none(editor: Editor, values: list):
    before = editor.latents
    with pytest.raises(EditError):
        editor.latents = values
    assert np.array_equal(editor.latents, before)


def test_a_sample_is_a_face_of_its_own(editor: Editor, picture: Image.Image):
    editor.sample(3)
    first = editor.frame
    assert same(first, editor.views["edited"])
    assert np.array_equal(np.asarray(editor.photo)[:8], np.asarray(picture)[:8])
    assert not same(editor.photo, picture)
    editor.sample(4)
    assert not same(editor.frame, first)
    editor.sample(3)
    assert same(editor.frame, first)
    editor.paint(150, 100, 30, "#ffffff", steps=5)
    assert same(editor.frame, editor.views["edited"])  # still drawn, not transferred
    editor.reset()
    assert same(editor.photo, picture)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"x": 900}, "outside the square"),
        ({"x": float("nan")}, "x nan is no number"),
        ({"x": "12"}, "no number"),
        ({"size": 0}, "out of range"),
        ({"size": -3}, "out of range"),
        ({"size": 1e9}, "out of range"),
        ({"colour": "#12345"}, "no colour"),
        ({"colour": "red"}, "no colour"),
        ({"colour": (1, 2)}, "no colour"),
        ({"colour": (1, 2, 256)}, "no colour"),
        ({"colour": None}, "no colour"),
        ({"steps": 0}, "steps 0"),
        ({"steps": 1.5}, "steps 1.5"),
        ({"steps": 10**6}, "steps 1000000"),
        ({"steps": float("nan")}, "steps nan"),
    ],
)
def test_a_stroke_that_makes_no_sense_changes_nothing(editor: Editor, change: dict, said: str):
    editor.paint(150, 100, 30, "#ffffff")
    before, picture = editor.latents, editor.photo
    with pytest.raises(UserError, match=said):
        editor.paint(**{"x": 150, "y": 100, "size": 30, "colour": "#ffffff", "steps": 1} | change)
    assert np.array_equal(editor.latents, before)
    assert same(editor.photo, picture)


def test_lost_latents_leave_the_last_picture(editor: Editor, monkeypatch: pytest.MonkeyPatch):
    editor.paint(150, 100, 30, "#ffffff")
    before = editor.photo
    monkeypatch.setattr(brush, "PAINT_RATE", float("inf"))
    with pytest.raises(EditError, match="not finite"):
        editor.paint(150, 100, 30, "#000000")
    assert same(editor.photo, before)
    monkeypatch.setattr(brush, "PAINT_RATE", 1e6)
    editor.paint(150, 100, 30, "#000000")
    assert np.abs(editor.latents).max() <= brush.BOUND


def test_the_prior_draws_latents_in(network: IAN, picture: Image.Image):
    free, held = (Editor(picture, PLACE, network=network, brush=Brush(prior=prior)) for prior in (0.0, 0.1))
    for editor in (free, held):
        editor.latents = np.full(8, 3.0)
        editor.paint(150, 100, 30, "#ffffff", steps=10)
    assert np.linalg.norm(held.latents) < np.linalg.norm(free.latents)
    with pytest.raises(EditError, match="prior"):
        Brush(prior=1.5)


def test_more_strength_shows_more(network: IAN, picture: Image.Image):
    shown = []
    for strength in (1.0, 3.0):
        editor = Editor(picture, PLACE, network=network, strength=strength)
        editor.paint(150, 100, 40, "#ffffff", steps=20)
        shown.append(np.abs(np.asarray(editor.photo).astype(int) - np.asarray(picture)).sum())
    assert shown[1] > shown[0]
    with pytest.raises(EditError, match="strength"):
        Editor(picture, PLACE, network=network, strength=0.0)


def test_history_ends_somewhere(editor: Editor, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("csi_demo.editing.editor.MAX_HISTORY", 5)
    for number in range(9):
        editor.sample(number)
    assert sum(editor.undo() for _ in range(20)) == 4


def test_a_patch_is_cut_off_at_the_frames_border():
    assert brush.Patch.around(1.0, 62.5, 8) == brush.Patch(0, 58, 5, 64)
    assert brush.Patch.around(10.2, 10.2, 0.3).width == 1
    with pytest.raises(EditError):
        brush.Patch.around(-6.0, 10.0, 8)


def test_the_frame_of_an_aligned_picture_is_edited_pixel_by_pixel(network: IAN, picture: Image.Image):
    aligned = picture.resize((64, 64))
    editor = Editor(aligned, Placement.centred((64, 64)), network=network)
    editor.paint(32, 32, 9, "#000000", steps=20)
    apart = np.abs(np.asarray(editor.photo).astype(int) - np.asarray(editor.frame))
    assert apart.max() <= 1  # the same number in two ways: one that ends in a half may be rounded either way
    assert (apart > 0).mean() < 0.001
    assert not same(editor.photo, aligned)
    assert torch.equal(to_tensor(editor.before), to_tensor(aligned))


def test_the_ready_made_edits_need_few_digits():
    for entry in json.loads((EXAMPLES / "edits.json").read_text()):
        photo, pictures = Image.open(EXAMPLES / entry["photo"]).convert("RGB"), []
        for precision in (torch.float32, torch.bfloat16):
            trained = weights.load_network("ian")
            trained.precision = precision
            editor = Editor(photo, Placement.centred(photo.size), network=trained)
            draw(editor, from_json(entry["strokes"]))
            pictures.append(np.asarray(editor.photo).astype(int))
        exact, near = pictures
        assert np.abs(exact - np.asarray(photo)).max() > 32
        assert np.abs(exact - near).max() <= 8

"""Figures of a method on whole photos at their own resolution: finding, filling, refining and pasting."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ... import masks
from ...complete import Finish, Request, Subject
from ...data import read_encoded
from ...errors import CompletionError, ControlError
from ...methods import load_method
from ...photo.finding import find_faces
from ...photo.placement import Placement
from ...photo.reading import open_photo
from ...photo.refining import SIDE, can_refine
from ...photo.sheets import photo_sheet
from ...pixels import mask_to_tensor, png, to_pictures, to_tensor
from ...weights import write_atomically
from ..metrics.features import face_network, judge_network
from ..metrics.inside import measure
from .controls import ends, steered
from .shared import Study, means_of, shared

SAMPLES = 2  # drawn for every photo; the figures are means over both
TILE, AROUND = 256, 1.25  # side of a picture on a contact sheet, and how many sides of the frame it shows
KEPT = 0.1  # of a probability: what refining may change of what a control does to a face
KEPT_COLUMNS = ("control", "hole", "judge", "drawn", "refined", "apart", "kept", "n")


@dataclass(frozen=True)
class Filled:
    """A photo whose face was found, and what became of it, refined or not. It has figures, and frames of 128 pixels a
    side of the photo and of the first sample, (1, 3, 128, 128).

    tiles: the face in the photo, with its hole, in the first sample as drawn and refined.
    """

    tiles: list[Image.Image]
    figures: dict[bool, dict[str, float]]
    truth: Tensor
    frames: dict[bool, Tensor]


def evaluate_photos(study: Study) -> list[dict[str, Any]]:
    """Fills a hole of a family in whole photos of a pack or folder; two dicts of figures, without refining and with.

    Each has refine, found (share of photos in which a face was found; the others are left out), psnr, ssim, l1, colour,
    seam and sharpness as `fills.evaluate` has them, but at the photo's own resolution, diversity, frechet and
    frechet_judge (of the faces' frames at 128x128 pixels; for more photos than there are features), seconds_per_image
    (of finding, filling, refining and pasting one sample, two at a time), seconds_finish (of refining and pasting
    alone) and n. Photo k takes the seeds seed + 2 k and seed + 2 k + 1, and for mask families with fresh masks the k-th
    mask. Raises DataError, MaskError, WeightsError where the weights have no refiner, and CompletionError where no face
    was found.
    """
    load_method(study.method)  # an unknown method is refused before the photos are read
    if not can_refine():
        raise CompletionError("the weights have no refiner: the photos cannot be filled with it and without")
    files = read_encoded(study.data, study.limit)
    rng, draw = np.random.default_rng(study.seed), masks.sampler(study.mask)
    named = study.mask in masks.BOXES
    jobs = [
        (study, name, file, study.mask if named else draw(rng), study.seed + SAMPLES * index)
        for index, (name, file) in enumerate(files.items())
    ]
    filled = [photo for photo in shared(_fill, jobs, study.workers) if photo is not None]
    if not filled:
        raise CompletionError(f"no face was found in any of {len(files)} photos")
    if study.contact_sheet is not None:
        write_atomically(study.contact_sheet, png(photo_sheet([photo.tiles for photo in filled])))
    return [_means(filled, refine) | {"found": round(len(filled) / len(files), 4)} for refine in (False, True)]


def evaluate_kept(
    method_name: str, data: str | Path, controls: Sequence[str], *, limit: int | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Whether refining keeps what controls decide: rows of figures, for each control and each of two networks.

    Every whole photo of a pack in which a face is found is filled with the control's own region hidden, at the
    control's low and at its high end, the k-th with seed + k. Rows have drawn and refined (mean change of the
    attribute's probability between the two, in the face's frame, before and after refining), apart (mean absolute
    difference of the change, before and after), kept (share of faces on which that is at most 0.1) and n. Raises
    ControlError for an unknown control, else as `evaluate_photos`.
    """
    method = load_method(method_name)
    known = {entry.name: entry for entry in steered(method)}
    if unknown := set(controls) - set(known):
        raise ControlError(f"{', '.join(sorted(unknown))}: not among {', '.join(known)}")
    if not can_refine():
        raise CompletionError("the weights have no refiner: the photos cannot be filled with it and without")
    networks = {"face network": face_network(), "judge": judge_network()}
    photos = [open_photo(file, name) for name, file in read_encoded(data, limit).items()]
    found = [(index, photo, faces[0]) for index, photo in enumerate(photos) if (faces := find_faces(photo))]
    if not found:
        raise CompletionError(f"no face was found in any of {len(photos)} photos")
    rows = []
    for entry in [known[name] for name in controls or known]:
        named = entry.region in masks.BOXES
        frames: dict[bool, list[Tensor]] = {False: [], True: []}
        for index, photo, place in found:
            hole = entry.region if named else place.photo_mask(masks.family(entry.hole), photo.size)
            subject = Subject.of(photo, hole, placement=place)
            image, mask = to_tensor(subject.frame), mask_to_tensor(subject.frame_mask)
            fills = to_pictures(ends(method, image, mask, seed + index, entry.name))
            for refine, mine in frames.items():
                finished = [subject.finished(fill, Finish(refine=refine)) for fill in fills]
                mine.append(torch.cat([to_tensor(place.frame(picture)) for picture in finished]))
        for judge, network in networks.items():
            column = network.config.names.index(entry.attribute)
            drawn, refined = (
                entry.sign * torch.stack([network.probabilities(pair)[:, column].diff() for pair in mine]).double()
                for mine in frames.values()
            )
            apart = (refined - drawn).abs()
            means = {"drawn": drawn, "refined": refined, "apart": apart, "kept": (apart <= KEPT).double()}
            row = {key: round(float(value.mean()), 4) for key, value in means.items()}
            rows.append({"control": entry.name, "hole": entry.region, "judge": judge} | row | {"n": len(found)})
    return rows


def _fill(study: Study, name: str, file: bytes, mask: np.ndarray | str, seed: int) -> Filled | None:
    """A photo filled; None where no face is found in it. mask: of the frame, or a family's name."""
    method, photo = load_method(study.method), open_photo(file, name)
    began = time.perf_counter()
    faces = find_faces(photo)
    if not faces:
        return None
    place = faces[0]
    subject = Subject.of(photo, mask if isinstance(mask, str) else place.photo_mask(mask, photo.size), placement=place)
    seeds = tuple(range(seed, seed + SAMPLES))
    fills = Request(subject, method, seeds, study.controls or {}, study.options or {}).last_step().pictures
    filling = time.perf_counter() - began
    image, hole = to_tensor(photo), mask_to_tensor(subject.mask)
    figures, pictures, frames = {}, {}, {}
    for refine in (False, True):
        began = time.perf_counter()
        pictures[refine] = [subject.finished(fill, Finish(refine=refine)) for fill in fills]
        finishing = (time.perf_counter() - began) / SAMPLES
        figures[refine] = measure(image, hole, torch.cat([to_tensor(picture) for picture in pictures[refine]]))
        figures[refine] |= {"seconds_per_image": filling / SAMPLES + finishing, "seconds_finish": finishing}
        frames[refine] = to_tensor(place.frame(pictures[refine][0], SIDE))
    masked = Image.fromarray(np.where(subject.mask[..., None], np.asarray(photo), np.uint8(200)))
    tiles = [_tile(picture, place) for picture in (photo, masked, pictures[False][0], pictures[True][0])]
    return Filled(tiles, figures, to_tensor(place.frame(photo, SIDE)), frames)


def _tile(photo: Image.Image, place: Placement) -> Image.Image:
    """The face and some of what is around it."""
    return Placement(place.x, place.y, AROUND * place.size, place.angle).frame(photo, TILE)


def _means(filled: Sequence[Filled], refine: bool) -> dict[str, Any]:
    frames, faces = torch.cat([photo.frames[refine] for photo in filled]), torch.cat([photo.truth for photo in filled])
    means = means_of([photo.figures[refine] for photo in filled], frames, faces)
    return {"refine": refine, "n": len(filled)} | means

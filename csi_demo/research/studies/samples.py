"""Figures of pictures drawn from a method's prior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...data import read_pack
from ...methods import load_method
from ...photo import sheets
from ...pixels import png, to_float
from ...weights import write_atomically
from ..metrics.features import face_features
from ..metrics.frechet import frechet_distance


def evaluate_samples(
    method_name: str, data: str | Path, *, limit: int | None = None, seed: int = 0, contact_sheet: Path | None = None
) -> dict[str, Any]:
    """How far pictures drawn from a method's prior are from faces, in the face network's features.

    Returns frechet (as many drawn pictures as faces, against the faces), floor (one half of the faces against the
    other), floor_n and n. Raises CompletionError for a method that draws no pictures.
    """
    faces = to_float(read_pack(data, limit))
    drawn = load_method(method_name).sample(len(faces), seed)
    if contact_sheet is not None:
        rows = drawn[: min(64, len(drawn) // 8 * 8)]
        write_atomically(contact_sheet, png(sheets.contact_sheet(rows.unflatten(0, (-1, 8)))))
    real = face_features(faces)
    floor = frechet_distance(real[::2], real[1::2])
    distance = frechet_distance(face_features(drawn), real)
    return {"n": len(faces), "frechet": round(distance, 3), "floor": round(floor, 3), "floor_n": len(real) // 2}

"""Sheets of what the sliders do to the photo at hand."""

from __future__ import annotations

from ..errors import PageError
from . import render
from .engine import FIRST_CONTROLS, MAX_SEED
from .subject import Start, read_subject, whole


def one_by_one(start: Start | None, painting: object, seed: object) -> str:
    """The strongest controls of the hole, a row for each, as in CSI's figure 6."""
    names = [slot.name for slot in start.slots[:FIRST_CONTROLS] if slot] if start else []
    return _sheet(start, painting, seed, names, together=False)


def two_together(start: Start | None, painting: object, seed: object, first: object, second: object) -> str:
    """Two controls against each other, as in CSI's figure 4."""
    return _sheet(start, painting, seed, [str(first)[:40], str(second)[:40]], together=True)


def _sheet(start: Start | None, painting: object, seed: object, names: list[str], together: bool) -> str:
    try:
        subject, number = read_subject(painting), whole(seed, "The seed", 0, MAX_SEED)
        if start is None or not names:
            raise PageError("This method has no controls to show.")
        from ..studies.discovery.traversal import grid_sheet, traversal_sheet

        make = grid_sheet if together else traversal_sheet
        return render.sheet_view(make(subject.photo.frame, subject.frame_mask, names, number, start.subject[0]))
    except ValueError as error:
        return render.trouble(str(error))

"""How long strokes of the photo editor keep a visitor waiting, and what they leave in memory, on the server's side."""

from __future__ import annotations

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EditError
from ..surroundings import shipped
from ..ui import editing, photo
from .benchmark import machine
from .soaking import memory_of

PICTURE = shipped("examples") / "astronaut.jpg"
MOVES, INTERVAL = 20, 1 / 60  # of the brush in a stroke, and seconds between them
APART = 0.01  # of the square's side, from one move to the next
SIZE = 0.14  # of it, the brush's width
SETTLED = 20  # strokes after which memory is looked at first


def measure_strokes(strokes: int = 200, undos: int = 100, seed: int = 0) -> dict[str, Any]:
    """Strokes of MOVES moves on a photo of 512x512, drawn as the page does it: one message at a time, and of the moves
    that come while the editor is at work only the newest is kept.

    Returns milliseconds (median), milliseconds_95 (95th percentile) and fastest, to which other work on the machine
    adds, from the last move to the answer with its picture, without the way to the browser; messages, how many of a
    stroke's moves were painted, in the mean; resident megabytes after SETTLED strokes and after all strokes and undos,
    where the system tells; machine; n, the strokes. Raises EditError where the editor answers with trouble.
    """
    shown = photo.from_bytes(PICTURE.read_bytes())
    session = editing.opened(shown)
    rng, corners = np.random.default_rng(seed), np.array(shown.view_place.corners)
    across, down = corners[1] - corners[0], corners[3] - corners[0]
    waits, messages, early = [], [], None
    for number in range(strokes):
        x, y = rng.uniform(0.2, 0.7, 2)
        path = [corners[0] + (x + APART * move) * across + y * down for move in range(MOVES)]
        stroke = {"act": "paint", "size": SIZE * float(np.hypot(*across)), "stroke": number, "live": True}
        stroke["colour"] = f"#{rng.integers(0, 2**24):06x}"
        began, done, sent = time.perf_counter(), 0, 0
        while done < MOVES:
            arrived = min(MOVES, 1 + int((time.perf_counter() - began) / INTERVAL))
            if arrived == done:
                time.sleep(max(0.0, began + done * INTERVAL - time.perf_counter()))
                continue
            _said(session, stroke | {"points": [path[arrived - 1].tolist()]})
            done, sent = arrived, sent + 1
        waits.append(1000 * (time.perf_counter() - began - (MOVES - 1) * INTERVAL))
        messages.append(sent)
        _said(session, {"act": "look"})
        if number + 1 == SETTLED:
            early = _memory()
    for _ in range(undos):
        _said(session, {"act": "undo"})
    return {
        "n": strokes,
        "moves": MOVES,
        "milliseconds": round(statistics.median(waits), 1),
        "milliseconds_95": round(float(np.percentile(waits, 95)), 1),
        "fastest": round(min(waits), 1),
        "messages": round(statistics.mean(messages), 1),
        "undos": undos,
        "megabytes": [early, _memory()],
        "machine": machine(),
    }


def _said(session: editing.Session, message: dict[str, Any]) -> None:
    said = json.loads(editing.act(json.dumps(message | {"session": session.key, "reply": 1})))
    if "trouble" in said:
        raise EditError(said["trouble"])


def _memory() -> int | None:
    return memory_of(os.getpid()) if Path("/proc/self/status").is_file() else None

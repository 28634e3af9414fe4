"""What the page's tests share: pictures, what a browser sends, and a method without weights."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from csi_demo.methods import Control, Method, Step
from csi_demo.methods.base import Task, keep_observed
from csi_demo.ui import filling, painter, photo, results
from csi_demo.ui.examples import FOLDER
from csi_demo.ui.inputs import PageInputs
from csi_demo.ui.photo import Photo
from csi_demo.ui.wiring import Update

FRAME_FILE = FOLDER / "astronaut.png"
LONG = "7" * 10_000  # where a number belongs
SMILE = Control("smile", "Smile", -3.0, 3.0, None, "How much of a smile.")
GLASSES = Control("glasses", "Glasses", 0.0, 1.0, 0.5, "With glasses or without.", 0.25)
SPREAD = Control("spread", "Spread", 0.0, 1.5, 1.0, "How far samples stray.")


class PlainMethod(Method):
    """Paints the hole in one level: the smile's, or the seed's."""

    name = "plain"
    label = "Plain"
    description = "For tests."
    options = (SPREAD,)
    controls = (SMILE, GLASSES)
    live = True
    pause = 0.0  # seconds a row takes

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, float], dict[str, float]]] = []
        self.closed = False

    def start_values(self, image: Any, mask: Any) -> dict[str, float]:
        return {"smile": 0.7321}

    def complete(
        self, image: Any, mask: Any, seeds: Any = (0,), controls: Any = None, options: Any = None, hints: Any = None
    ) -> Any:
        self.calls.append((dict(controls or {}), dict(options or {})))
        return super().complete(image, mask, seeds, controls, options, hints)

    def _complete(self, task: Task) -> Iterator[Step]:
        smile, seeds = task.controls.get("smile"), task.seeds
        levels = torch.tensor([seed / 10 if smile is None else smile / 3 for seed in seeds])
        images = keep_observed(task.image, task.mask, levels[:, None, None, None].expand(-1, 3, 64, 64))
        try:
            for row in range(50):
                time.sleep(self.pause)
                yield Step(images, row / 50)
            figures = [{"bits per dim": 3.5}] * len(seeds)
            yield Step(images, 1.0, {"seconds": 1.25, "figures": figures, "bits_per_dim": [3.5] * len(seeds)})
        finally:
            self.closed = True


def file_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def a_photo(data: bytes | None = None) -> Photo:
    return photo.from_bytes(data or FRAME_FILE.read_bytes())


def painting(shown: Photo, mask: np.ndarray | None = None, **changes: Any) -> str:
    """What the browser sends for a mask of the view; the mouth by default."""
    runs = painter.to_runs(shown.preset("mouth") if mask is None else mask)
    return json.dumps({"photo": shown.key, "size": shown.view.size, "runs": runs} | changes)


def run_fill(
    start: Any = None, sliders: tuple[float, ...] = (), seed: object = 0, samples: object = 2, what: str | None = None
) -> list[Update]:
    what = what or painting(a_photo())
    inputs = PageInputs.of("plain", what, "Crisp", results.IN_PHOTO, True, start, seed, samples, *sliders)
    return list(filling.fill(inputs))

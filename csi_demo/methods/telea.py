"""Classical inpainting by Telea's fast marching (2004), without a model: right for blemishes, no use for a feature."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2
import numpy as np
from PIL import Image

from ..pixels import to_pictures, to_tensor
from .base import Control, Method, Step, Task, keep_observed


class TeleaMethod(Method):
    name = "telea"
    label = "Telea"
    description = "Continues what is around the hole, without a model of faces: for small blemishes (Telea 2004)."
    options = (
        Control("radius", "Radius", 1.0, 16.0, 3.0, "How many pixels around each pixel decide what it becomes.", 1.0),
    )
    model = None
    live = True

    @property
    def controls(self) -> tuple[Control, ...]:
        return ()

    def _complete(self, task: Task) -> Iterator[Step]:
        """Every seed gets the same fill: nothing is drawn by chance."""
        began = time.perf_counter()
        pixels = np.asarray(to_pictures(task.image)[0])
        hole = (task.mask[0, 0].numpy() < 0.5).view(np.uint8)
        filled = cv2.inpaint(pixels, hole, task.options["radius"], cv2.INPAINT_TELEA)
        images = keep_observed(task.image, task.mask, to_tensor(Image.fromarray(filled)))
        count = len(task.seeds)
        info = {"seconds": time.perf_counter() - began, "figures": [{} for _ in range(count)]}
        yield Step(images.repeat(count, 1, 1, 1), 1.0, info)

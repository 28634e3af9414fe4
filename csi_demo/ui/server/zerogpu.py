"""Completion on Hugging Face's ZeroGPU, whose GPU is there only while a function decorated for it runs, in a fork.

Nothing changes elsewhere: there the decorator returns the function as it is.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import spaces

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ...complete import FrameStep

SECONDS_TO_BEGIN = 5  # for the fork, and for the first kernels
SECONDS_A_STEP = 0.02  # of one sample and restart of a search, or of an iteration; a guess: no such GPU was measured
MOST_SECONDS = 120


def load_all() -> None:
    """Loads every method: what is loaded in a fork would be gone with it. Raises as `load_method`."""
    from ...methods import available_methods, load_method

    for name in available_methods():
        load_method(name)


def seconds(
    frame: Image.Image, mask: np.ndarray, method: str, seeds: Sequence[int], controls: Any, options: Mapping[str, float]
) -> int:
    """How long a completion may take, by its options."""
    from ...methods import load_method

    values = load_method(method).check_options(options)
    steps = values.get("steps", 0) * values.get("restarts", 1) + values.get("iterations", 0)
    return min(MOST_SECONDS, round(SECONDS_TO_BEGIN + SECONDS_A_STEP * steps * len(seeds)))


@spaces.GPU(duration=seconds)
def complete_on_gpu(
    frame: Image.Image,
    mask: np.ndarray,
    method: str,
    seeds: Sequence[int],
    controls: Mapping[str, float],
    options: Mapping[str, float],
) -> Generator[FrameStep | Exception]:
    """`complete_frame`; what it raises comes last, as a value, since a fork passes on no exceptions."""
    from ...complete import complete_frame
    from ...errors import CompletionError

    try:
        yield from complete_frame(frame, mask, method, seeds, controls, options)
    except (CompletionError, ValueError) as error:
        yield error

"""What the page offers of the methods, and how it has them run. PyTorch is loaded with the first method, not before."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress

import numpy as np
from PIL import Image

from .. import methods
from ..complete import FrameStep, Request, Subject
from ..errors import PageError, UnknownMethodError, WeightsError
from ..methods import Control, Method
from .server import metrics

MAX_SAMPLES = 8
MAX_SEED = 2**31 - 1
FIRST_CONTROLS = 6  # sliders for the strongest controls
MAX_CONTROLS = FIRST_CONTROLS + 18  # and for those that come next, folded away
MAX_OPTION_SLIDERS = 5
MAX_SWITCHES = 6
MAX_OPTIONS = MAX_OPTION_SLIDERS + MAX_SWITCHES
SLOT_IDS = (  # of the page's elements, in the order of `slots`
    *(f"slider-{number}" for number in range(MAX_CONTROLS)),
    *(f"option-{number}" for number in range(MAX_OPTION_SLIDERS)),
    *(f"switch-{number}" for number in range(MAX_SWITCHES)),
)

MEANT = ("named latent", "attribute")  # kinds of controls that say what will be seen

_log = logging.getLogger(__name__)
_loading = threading.Lock()
_ready = threading.Event()  # a method has been loaded


def ready() -> bool:
    """Whether there is a method that can fill holes."""
    return _ready.is_set()


def compiling() -> bool:
    """Whether fills are slow because machine code for them is being compiled, as once after installing."""
    if not ready():
        return False
    from ..sampling.machine_code import is_compiling

    return is_compiling()


def method_choices() -> list[tuple[str, str]]:
    """(label, name) of every method, as a radio takes them; loads none."""
    return [(label, name) for name, label in methods.method_labels().items()]


def compared(names: object) -> list[tuple[str, str]]:
    """(label, name) of the methods that were chosen to be compared, in their own order; None: of all.

    Raises PageError for none, or for anything but names of methods.
    """
    choices = method_choices()
    if names is None:
        return choices
    known = [name for _, name in choices]
    if not isinstance(names, list) or len(names) > len(known) or any(name not in known for name in names):
        raise PageError(f"Choose the methods to compare among {', '.join(known)}.")
    if not names:
        raise PageError("Choose at least one method to compare.")
    return [choice for choice in choices if choice[1] in names]


def load(name: str | None) -> Method:
    """The method of this name, the first one for None; loaded once. Raises PageError when it cannot be loaded."""
    if name is not None and (not isinstance(name, str) or len(name) > 40):
        raise PageError("Choose one of the methods.")
    name = name or methods.available_methods()[0]
    try:
        with _loading:
            loaded = methods.load_method(name)
        _ready.set()
        return loaded
    except UnknownMethodError as error:
        raise PageError(str(error)) from None
    except (RuntimeError, OSError) as error:
        _log.error("method %s: %s", name, error)
        raise PageError("The model could not be loaded. Please come back later.") from None


def complete(request: Request) -> Generator[FrameStep]:
    """The steps of a request, by a method that profits from a GPU on that of ZeroGPU where there is one."""
    with metrics.fill(request.method.name):
        if not request.method.accelerated or not os.environ.get("SPACES_ZERO_GPU"):
            yield from request.steps()
        else:  # the library for it wants a home, which not every user has
            from .server.zerogpu import complete_on_gpu

            yield from complete_on_gpu(request)


def slots(method: Method, ranks: Mapping[str, float] | None = None) -> tuple[Control | None, ...]:
    """What each slot of the page shows of a method: controls, options with a slider, then switches. Each kind is filled
    up with None. ranks: name -> what controls are ordered by, highest first, those below 0 left out; otherwise and for
    the rest the declaration's order holds. Latents that nothing names are not among the first where others are. The
    last controls may find no slot."""
    ranks = ranks or {}
    offered = [control for control in method.controls if ranks.get(control.name, 0.0) >= 0.0]
    ordered = sorted(offered, key=lambda control: -ranks.get(control.name, 0.0))
    first = ([control for control in ordered if control.kind != "latent"] or ordered)[:FIRST_CONTROLS]
    switches = [option for option in method.options if option.switch]
    sliders = [option for option in method.options if not option.switch]
    kinds: tuple[tuple[Sequence[Control], int], ...] = (
        (first, FIRST_CONTROLS),
        ([control for control in ordered if control not in first], MAX_CONTROLS - FIRST_CONTROLS),
        (sliders, MAX_OPTION_SLIDERS),
        (switches, MAX_SWITCHES),
    )
    return tuple(slot for kind, count in kinds for slot in (*kind[:count], *[None] * (count - len(kind))))


def not_visible(method: Method, ranks: Mapping[str, float]) -> list[str]:
    """Labels of controls with a meaning of their own that are not offered, since this hole does not show it; ranks:
    as of `slots`."""
    return [
        control.label for control in method.controls if control.kind in MEANT and ranks.get(control.name, 0.0) < 0.0
    ]


def has_variants() -> bool:
    """Whether the weights have the variants of `variant_fills`."""
    from ..methods.small_csi import shown_available

    try:
        return shown_available()
    except WeightsError as error:
        _log.error("variants: %s", error)
        return False


def variant_fills(subject: Subject, seed: int) -> tuple[Image.Image, np.ndarray, list[tuple[str, str, Image.Image]]]:
    """A frame averaged to 32x32, its mask likewise, and (label, what to look for, fill) of every variant.

    Masks are boolean, True = observed. Raises PageError.
    """
    from ..methods.small_csi import fill_shown, halve, small_frame

    try:
        with _loading:
            fills = fill_shown(subject.frame, subject.frame_mask, seed)
    except (RuntimeError, OSError) as error:
        _log.error("variants: %s", error)
        raise PageError("The variants could not be loaded. Please come back later.") from None
    shown = [(variant.label, variant.text, picture) for variant, picture in fills]
    return small_frame(subject.frame), halve(subject.frame_mask), shown


def warm_up() -> threading.Thread:
    """Loads the first method in the background, so that the first visitor does not wait for it."""

    def work() -> None:
        with suppress(PageError):  # logged; visitors are told when they ask for something
            load(None)

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    return thread

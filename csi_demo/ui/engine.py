"""The methods as the page reaches them, imported on first use: the page answers before PyTorch is loaded."""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..methods import Control, Method

MAX_CONTROLS = 6
MAX_OPTIONS = 4

_log = logging.getLogger(__name__)
_loading = threading.Lock()


class PageError(ValueError):
    """Something a visitor can read and act upon."""


def method_choices() -> list[tuple[str, str]]:
    """(label, name) of every method, as a dropdown takes them."""
    from ..methods import available_methods

    return [(name.upper(), name) for name in available_methods()]


def load(name: str | None) -> Method:
    """The method of this name, the first one for None; loaded once. Raises PageError when it cannot be loaded."""
    from ..methods import UnknownMethodError, available_methods, load_method

    try:
        with _loading:
            return load_method(name or available_methods()[0])
    except UnknownMethodError as error:
        raise PageError(str(error)) from None
    except (RuntimeError, OSError) as error:
        _log.error("method %s: %s", name, error)
        raise PageError("The model could not be loaded. Please come back later.") from None


def offered(method: Method) -> tuple[Control, ...]:
    """The controls that get a slider."""
    return method.controls[:MAX_CONTROLS]


def warm_up() -> threading.Thread:
    """Loads the first method in the background, so that the first visitor does not wait for it."""

    def work() -> None:
        with suppress(PageError):  # logged; visitors are told when they ask for something
            load(None)

    thread = threading.Thread(target=work, name="warm-up", daemon=True)
    thread.start()
    return thread

"""How events call handlers: what a handler returns names the components that it changes."""

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import gradio as gr
from gradio.components import Component

from ..errors import UserError
from . import painter, render

BROKEN = "Something went wrong here, not with what you did. Please try again; if that does not help, reload the page."

_log = logging.getLogger(__name__)

# A component's name -> its new value, or a `gr.update`. What is not named stays as it is.
Update = dict[str, Any]


def listen(
    event: Callable[..., Any],
    handler: Callable[..., Any],
    inputs: Component | Sequence[Component] | None,
    outputs: Mapping[str, Component],
    **options: Any,
) -> Any:
    """Lets an event, such as ``button.click``, call a handler that returns an `Update` or yields several.

    outputs: what it may name. Returns what `event` returns.
    """
    return event(_in_order(handler, outputs), inputs, list(outputs.values()), **options)


def any_of(events: Iterable[Any]) -> Callable[..., Any]:
    """Several events as one."""
    triggers = list(events)
    return lambda *arguments, **options: gr.on(triggers, *arguments, **options)


def said(error: Exception, where: str) -> str:
    """What a visitor is told of an error: its own words where they can act upon it, else that it was not theirs.

    Then it goes to the log, without what the visitor sent.
    """
    if isinstance(error, UserError):
        return str(error)
    places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)[-4:]]
    _log.error("%s: %s in %s", where, type(error).__name__, " > ".join(places))
    return BROKEN


def _caught(error: Exception, outputs: Mapping[str, Component], where: str) -> Update:
    """An error as what an event shows: in the line of status, the painter, or the first place that takes text."""
    message = said(error, where)
    if "status" in outputs:
        return {"status": render.trouble(message)}
    if "painter" in outputs:
        return {"painter": painter.trouble(message)}
    texts = [name for name, component in outputs.items() if isinstance(component, gr.HTML)]
    return {name: render.trouble(message) for name in texts[:1]}


def _in_order(handler: Callable[..., Any], outputs: Mapping[str, Component]) -> Callable[..., Any]:
    """The handler as Gradio wants it: values in the order of the outputs. What it raises becomes what it shows."""

    def values(update: Update) -> Any:
        if unknown := update.keys() - outputs.keys():
            raise KeyError(f"{handler.__name__} changes {sorted(unknown)}, which are not among its outputs")
        found = [update.get(name, gr.skip()) for name in outputs]
        return found if len(found) > 1 else found[0]

    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def several(*arguments: Any) -> Iterator[Any]:
            try:
                for update in handler(*arguments):
                    yield values(update)
            except Exception as error:
                yield values(_caught(error, outputs, handler.__name__))

        return several

    @wraps(handler)
    def once(*arguments: Any) -> Any:
        try:
            return values(handler(*arguments))
        except Exception as error:
            return values(_caught(error, outputs, handler.__name__))

    return once

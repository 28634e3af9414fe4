"""How events call handlers: what a handler returns names the components that it changes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

import gradio as gr
from gradio.components import Component

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
    return event(_in_order(handler, tuple(outputs)), inputs, list(outputs.values()), **options)


def any_of(events: Iterable[Any]) -> Callable[..., Any]:
    """Several events as one."""
    triggers = list(events)
    return lambda *arguments, **options: gr.on(triggers, *arguments, **options)


def _in_order(handler: Callable[..., Any], names: Sequence[str]) -> Callable[..., Any]:
    """The handler as Gradio wants it: values in the order of the names."""

    def values(update: Update) -> Any:
        if unknown := update.keys() - set(names):
            raise KeyError(f"{handler.__name__} changes {sorted(unknown)}, which are not among its outputs")
        found = [update.get(name, gr.skip()) for name in names]
        return found if len(found) > 1 else found[0]

    if inspect.isgeneratorfunction(handler):

        @wraps(handler)
        def several(*arguments: Any) -> Iterator[Any]:
            for update in handler(*arguments):
                yield values(update)

        return several

    @wraps(handler)
    def once(*arguments: Any) -> Any:
        return values(handler(*arguments))

    return once

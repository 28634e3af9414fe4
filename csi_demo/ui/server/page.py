"""What a call brings and what a session keeps, before Gradio and after it."""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.components.api_component import Api
from gradio.state_holder import SessionState

from ..painter import MAX_LENGTH
from ..wiring import said

MAX_VALUE = 2 * MAX_LENGTH  # characters of a component's value
MAX_DEPTH = 8  # of lists and dicts in what an endpoint is sent
MAX_CHOICES, MAX_CHOICE = 16, 40  # how many can be chosen of several, and characters of each


class Page(gr.Blocks):
    """Blocks that look at what a call brings before Gradio does, and keep nothing of it in the visitor's session.

    A short call gets the endpoint's defaults, where Gradio would log what was sent.
    """

    def validate_inputs(self, block_fn: Any, inputs: list[Any]) -> None:
        missing = block_fn.inputs[len(inputs) :]
        if not all(isinstance(block, Api) for block in missing):
            raise gr.Error("Values are missing in this call.", print_exception=False)
        for block, value in zip(block_fn.inputs, inputs, strict=False):
            several = isinstance(block, gr.CheckboxGroup | gr.BrowserState) and _are_choices(value)
            if not isinstance(block, Api) and not several and not _is_plain(value):
                raise gr.Error("This is nothing that the page sends.", print_exception=False)
        inputs[: len(block_fn.inputs)] = [
            _without_type(value, MAX_DEPTH) if isinstance(block, Api) else value
            for block, value in zip(block_fn.inputs, inputs, strict=False)
        ]
        inputs.extend(block.value for block in missing)

    async def process_api(self, *values: Any, **options: Any) -> dict[str, Any]:
        """As Gradio does it, but that every error has a sentence: of others Gradio would say null."""
        try:
            return await super().process_api(*values, **options)
        except gr.Error:
            raise
        except Exception as error:
            raise gr.Error(said(error, "a call"), print_exception=False) from None

    async def preprocess_data(self, *values: Any, **options: Any) -> list[Any]:
        try:
            return await super().preprocess_data(*values, **options)
        finally:
            self._forget(values)

    async def postprocess_data(self, *values: Any, **options: Any) -> list[Any]:
        try:
            return await super().postprocess_data(*values, **options)
        finally:
            self._forget(values)

    def _forget(self, values: tuple[Any, ...]) -> None:
        """Drops what Gradio keeps of a session beside its states. That is the page with all values, photo and fills
        among them, for deep links, and every component that an event changed, for preprocessing, which this page does
        without."""
        for state in values:
            if isinstance(state, SessionState):
                state.config_values.clear()
                state.blocks_config.blocks.update(self.default_config.blocks)


def _without_type(value: Any, depth: int) -> Any:
    """What an endpoint is sent, without what makes Gradio take a part of it for a file. It would fetch any address that
    stands there, and raise where it is none of its own. The endpoints look at the path themselves."""
    if isinstance(value, dict | list) and not depth:
        raise gr.Error("This is nested too deeply.", print_exception=False)
    if isinstance(value, dict):
        return {name: _without_type(one, depth - 1) for name, one in value.items() if name != "meta"}
    return [_without_type(one, depth - 1) for one in value] if isinstance(value, list) else value


def _is_plain(value: object) -> bool:
    """Whether a component of the page could have it: a text, a number, a switch or nothing."""
    return value is None or isinstance(value, int | float) or (isinstance(value, str) and len(value) <= MAX_VALUE)


def _are_choices(value: object) -> bool:
    """Whether it could be what is chosen of several: a few short texts."""
    return (
        isinstance(value, list)
        and len(value) <= MAX_CHOICES
        and all(isinstance(one, str) and len(one) <= MAX_CHOICE for one in value)
    )

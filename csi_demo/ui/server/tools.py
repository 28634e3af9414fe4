"""What language models get of a call, by the Model Context Protocol: text as JSON, and pictures as pictures.

Gradio, as of 6.31, would hand a dict over as Python writes it, and a data URL in it as millions of characters of text.
"""

from __future__ import annotations

import base64
import inspect
import io
import json
from collections.abc import Callable
from typing import Any

import gradio.mcp
from PIL import Image

PICTURE = "data:image/png;base64,"
LOOKED_AT = 1024  # longest side of what a model looks at; the picture itself comes as a resource


def speak(server: type[gradio.mcp.GradioMCPServer] = gradio.mcp.GradioMCPServer) -> None:
    """From now on tools answer so."""
    server.postprocess_output_data = _contents  # type: ignore[assignment, method-assign]


def _contents(server: gradio.mcp.GradioMCPServer, data: Any, root_url: str) -> list[Any]:
    """Every output as text, then its pictures, each as one to look at and as the file that it is."""
    kinds: Any = server.types
    contents: list[Any] = []
    for output in data:
        found: list[str] = []
        contents.append(kinds.TextContent(type="text", text=json.dumps(_without_pictures(output, found))))
        for number, encoded in enumerate(found, 1):
            seen, kind = _to_look_at(base64.b64decode(encoded))
            contents.append(kinds.ImageContent(type="image", data=base64.b64encode(seen).decode(), mimeType=kind))
            file = kinds.BlobResourceContents(uri=f"picture://{number}.png", mimeType="image/png", blob=encoded)
            contents.append(kinds.EmbeddedResource(type="resource", resource=file))
    return contents


def _without_pictures(value: Any, found: list[str]) -> Any:
    """A value with the address of its resource in the place of every picture, which is put among those found."""
    if isinstance(value, str) and value.startswith(PICTURE):
        found.append(value.removeprefix(PICTURE))
        return f"picture://{len(found)}.png"
    if isinstance(value, dict):
        return {name: _without_pictures(part, found) for name, part in value.items()}
    return [_without_pictures(part, found) for part in value] if isinstance(value, list) else value


def _to_look_at(file: bytes) -> tuple[bytes, str]:
    """A PNG and its kind, a large one as a smaller JPEG."""
    picture: Image.Image = Image.open(io.BytesIO(file))
    if max(picture.size) <= LOOKED_AT:
        return file, "image/png"
    stored = io.BytesIO()
    picture = picture.convert("RGB")
    picture.thumbnail((LOOKED_AT, LOOKED_AT))
    picture.save(stored, "JPEG", quality=90)
    return stored.getvalue(), "image/jpeg"


def told_whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose docstring has each parameter in one line: of more Gradio, and with it a model, reads the first
    alone."""
    lines: list[str] = []
    for line in inspect.getdoc(function).splitlines():  # type: ignore[union-attr]  # every endpoint has one
        if line.startswith(" " * 8):
            lines[-1] += f" {line.strip()}"
        else:
            lines.append(line)
    function.__doc__ = "\n".join(lines)
    return function

"""Controllable Semantic Inpainting: fill a hole in a face, and decide with sliders what appears in it."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .complete import complete_photo as complete_photo
    from .editing import edit_photo as edit_photo
    from .editing import open_editor as open_editor
    from .methods import available_methods as available_methods
    from .methods import list_controls as list_controls
    from .methods import load_method as load_method
    from .photo.finding import find_faces as find_faces

_HOMES = {
    "available_methods": "methods",
    "complete_photo": "complete",
    "edit_photo": "editing",
    "find_faces": "photo.finding",
    "list_controls": "methods",
    "load_method": "methods",
    "open_editor": "editing",
}
__all__ = [
    "available_methods",
    "complete_photo",
    "edit_photo",
    "find_faces",
    "list_controls",
    "load_method",
    "open_editor",
]


def __dir__() -> list[str]:
    """The public names, before any is imported, too."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    """Imports the public names on first use, so that ``import csi_demo`` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

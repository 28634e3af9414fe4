"""The Neural Photo Editor (Brock et al., 2017): a brush that paints with a model instead of a colour."""

from .brush import Brush
from .editor import Editor, open_editor
from .strokes import Stroke, edit_photo

__all__ = ["Brush", "Editor", "Stroke", "edit_photo", "open_editor"]

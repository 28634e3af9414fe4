"""The Neural Photo Editor (Brock et al., 2017): a brush that paints with a model instead of a colour."""

from .brush import Brush
from .editor import Editor, open_editor

__all__ = ["Brush", "Editor", "open_editor"]

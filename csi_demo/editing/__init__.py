"""The Neural Photo Editor (Brock et al., 2017): a brush that paints with a model instead of a colour."""

from .editor import Editor, open_editor

__all__ = ["Editor", "open_editor"]

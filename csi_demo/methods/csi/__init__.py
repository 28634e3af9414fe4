"""Controllable Semantic Inpainting as a method."""

from .method import CSIMethod, heat_map

__all__ = ["CSIMethod", "heat_map"]

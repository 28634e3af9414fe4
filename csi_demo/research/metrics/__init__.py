"""Figures of pictures, whoever made them."""

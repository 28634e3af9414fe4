"""Colours and fonts; the rules of the layout are in static/. System fonts only: the page asks no other host."""

from __future__ import annotations

import gradio as gr

from . import static

THEME = gr.themes.Base(
    primary_hue="indigo",
    secondary_hue="indigo",
    neutral_hue="zinc",
    radius_size="lg",
    font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
    font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
).set(
    body_background_fill="*neutral_50",
    body_background_fill_dark="*neutral_950",
    block_background_fill="white",
    block_background_fill_dark="*neutral_900",
    block_border_width="1px",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_400",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_400",
    block_label_background_fill="*neutral_100",
    block_label_background_fill_dark="*neutral_800",
    link_text_color="*primary_600",
    link_text_color_dark="*primary_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover_dark="*primary_700",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
)

# One rule around all, so that nothing of it reaches a page around a component: Gradio puts each rule once as it is and
# once confined, and leaves out those for containers. Three classes, since Gradio's own rules are as strong.
RULES = "".join(static.text(name) for name in ("page.css", "painter.css", "editor.css"))
CSS = f".gradio-container.gradio-container.gradio-container {{{RULES}}}"

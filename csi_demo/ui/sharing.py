"""Links, embed code and settings of a result."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from .fills import Result, number


def link_of(result: Result) -> str:
    """The query of an address that shows the chosen sample first; a seed gives the same sample whatever is drawn
    beside it."""
    return re.sub(r"(?<![^&])seed=\d+", f"seed={result.seeds[result.chosen]}", result.link)


def share_view(result: Result | None) -> str:
    """Link and embed code of a result, or why there are none. share.js writes them out, which knows the page's address;
    of a visitor's own photo it says what can be shared."""
    if result is None or not result.finished or result.compared:
        return ""
    settings = "".join(f", {name} {number(value)}" for name, value in result.settings.items())
    said = f"{result.samples[0].method}, seed {result.seeds[result.chosen]}, {len(result.samples)} samples{settings}"
    fields = [
        ("link", "Link"),
        ("frame", "Embed: the page"),
        ("slider", "Embed: one slider"),
        ("component", "Component"),
    ]
    note = ""
    if not result.link:
        fields = []
        why = "this hole has too many small parts for one" if result.photo.example else "your photo stays with you"
        note = f"<p>A link cannot show this fill: {why}. The strip and the GIF can be shared, and the settings.</p>"
    return _fold(link_of(result), note, [*fields, ("settings", "Settings")], said)


def edit_view(query: str) -> str:
    """Link and embed code of the editor on an example; for a visitor's own photo nothing."""
    if not query:
        return ""
    note = "<p>The link opens this photo in the editor. What you paint stays with you.</p>"
    fields = [("link", "Link"), ("frame", "Embed: the editor"), ("component", "Component")]
    return _fold(query, note, fields)


def _fold(query: str, note: str, fields: Sequence[tuple[str, str]], settings: str = "") -> str:
    """fields: kind, as share.js knows it, and label."""
    inputs = "".join(
        f'<label>{label}<span><input readonly data-share="{kind}" value="{escape(settings)}">'
        '<button type="button">Copy</button></span></label>'
        for kind, label in fields
    )
    content = f"<summary>Share</summary>{note}{inputs}"
    return f'<details class="csi-share" data-query="{escape(query)}">{content}</details>'

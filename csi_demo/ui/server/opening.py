"""What stands on the page before it works: an example, its hole and a fill that was made before, as plain HTML.

Gradio's page is empty until its scripts have run. So its HTML gets, first of all, what those scripts need
(static/head.html) and, inside `<gradio-app>`, the pictures, which painter.js or editor_talk.js takes away again.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

import gradio as gr
from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .. import static, stills
from ..editing import ready_edits
from ..examples import FOLDER, all_examples

HEAD = static.text("head.html").replace("$STORAGE", static.text("storage.js"))
SANDBOX = """This frame has no access to the page's own files. Whoever embeds it: leave <code>sandbox</code> out of the
&lt;iframe&gt;, or write <code>sandbox="allow-scripts allow-same-origin allow-downloads"</code>."""


class Opening:
    """ASGI middleware: puts head.html and `markup` into the page's HTML."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or get_route_path(scope) not in ("", "/"):
            await self.app(scope, receive, send)
            return
        query = dict(parse_qsl(scope.get("query_string", b"").decode("latin-1")))
        start: Message = {}
        body = b""

        async def whole(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if message.get("more_body"):
                return
            changed = _inserted(body, query) if start["status"] == 200 else body
            MutableHeaders(scope=start)["content-length"] = str(len(changed))
            await send(start)
            await send({"type": "http.response.body", "body": changed})

        await self.app(scope, receive, whole)


def _inserted(page: bytes, query: Mapping[str, str]) -> bytes:
    """Gradio's page with what stands before its own: its scripts are modules, which run later than any other."""
    page = page.replace(b"<head>", b"<head>" + HEAD.encode(), 1)
    return re.sub(rb"<gradio-app[^>]*>", lambda found: found[0] + markup(query).encode(), page, count=1)


def markup(query: Mapping[str, str]) -> str:
    """The pictures that a link asks for; the photo alone where no fill of its hole was made before."""
    edits, index = query.get("tab") == "edit", stills.asked(query)
    names = [example.photo for example in all_examples()]
    ready = {str(number): edit.photo for number, edit in enumerate(ready_edits())}
    photo = query.get("photo", ready.get(query.get("edit", "")) if edits else None)
    said = "An example. The editor is being made ready…"
    shown, fill = FOLDER / (photo if photo in names else names[0]), ""
    if not edits and index is not None:
        shown, said = stills.hole_file(index), "An example with a hole. The page is being made ready…"
        fill = f"""<figure><img src="{_url(stills.fill_file(index))}" alt="The example, its hole filled">
          <figcaption>A fill that was made before</figcaption></figure>"""
    return f"""<section class="csi-opening" aria-label="The page is being made ready"{" data-edit" * edits}>
      <style>{static.text("opening.css")}</style>
      <h2>Fill a face, your way</h2>
      <div><figure><img src="{_url(shown)}" alt="An example"></figure>
        <div><p class="csi-waits">{said}</p>{fill}<noscript><p>This page needs JavaScript.</p></noscript>
          <p class="csi-needs">{SANDBOX}</p></div></div>
      </section>"""


def _url(file: Path) -> str:
    kind = "png" if file.suffix == ".png" else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.read_bytes()).decode()}"


def _opening(request: Request) -> Response:
    """The pictures for a page that has this one as a component."""
    return HTMLResponse(markup(dict(request.query_params)))


def _component(request: Request) -> Response:
    """The script that other sites load for `<gradio-app>`: with the page's own, so that it is of the same version."""
    gradio = (Path(gr.__file__).parent / "templates/frontend/gradio.js").read_text(encoding="utf-8")
    script = static.text("component.js").replace("$STORAGE", static.text("storage.js")) + gradio
    return Response(script, media_type="text/javascript")


ROUTES = (Route("/component.js", _component), Route("/opening", _opening))

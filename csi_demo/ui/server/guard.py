"""What stands between the network and Gradio: how much a request may send, and routes that this page does not use."""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 48 * 2**20  # a photo of 25 MB as text, and a painted mask beside it
# Each of these leaves what it is sent on the disk, fetches what it is told to, or starts what nobody here needs.
CLOSED = re.compile(
    r"/+gradio_api/+(process_recording|deep_link|component_server|stream/|proxy=|file=https?:|vibe|undo-vibe|run-history)"
    r"|/+monitoring",
    re.IGNORECASE,
)


class Guard:
    """ASGI middleware: 404 for the closed routes, 413 for a body of more than MAX_BODY bytes, said or sent."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        said = dict(scope["headers"]).get(b"content-length", b"0")
        if CLOSED.match(scope["path"]):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif not said.isdigit() or len(said) > 12 or int(said) > MAX_BODY:
            await PlainTextResponse("This request is too large.", 413)(scope, receive, send)
        else:
            try:
                await self.app(scope, _counted(receive), send)
            except RuntimeError as error:
                # Gradio has told a stream that its session is unknown, and then raises what cannot be sent any more.
                if not isinstance(error.__cause__, HTTPException):
                    raise
                await send({"type": "http.response.body", "body": b""})


def _counted(receive: Receive) -> Receive:
    """The same messages, up to MAX_BODY bytes of body."""
    arrived = 0

    async def counting() -> Message:
        nonlocal arrived
        message = await receive()
        arrived += len(message.get("body", b""))
        if arrived > MAX_BODY:
            raise HTTPException(413, "This request is too large.")
        return message

    return counting

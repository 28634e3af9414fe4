"""What stands between the network and Gradio: the routes that this page uses, and how much may be sent to them."""

from __future__ import annotations

import errno
import re
import time
from collections import deque

from starlette._utils import get_route_path
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import metrics

MAX_FILE = 128 * 2**20  # whatever the page itself gives out can be sent back: 40 megapixels as PNG have 115 MB at most
MAX_BODY = MAX_FILE * 4 // 3 + 2**22  # such a file as base64, and what goes with it
LARGE = 2**23  # bodies from here on share what follows
MAX_LARGE, SECONDS = 2**30, 60.0  # bytes of large bodies within so many seconds
TOO_LARGE, TOO_MANY = "This request is too large.", "Too many large photos at the moment. Please try again in a minute."
FULL, NO_ROOM = (errno.ENOSPC, errno.EDQUOT), "There is no room for photos at the moment. Please try again later."

# All that the page, its embeds, clients of its API and language models ask for. Whatever else Gradio has leaves what it
# is sent on the disk, fetches what it is told to, or starts what nobody here needs.
NAME = "(complete|compare|edit|list_methods|list_controls)"
API = (
    *("info/?", "openapi.json", "app_id/?", "login_check/?", "theme.css", "startup-events"),
    # run/predict is for what waits for no queue; Gradio has 404 there for all else (`api_open`, blocks.py)
    *("queue/join", "queue/data", "heartbeat/[^/]+", "cancel", "reset/?", "component_server/?", "run/predict/?"),
    *(f"(call|run|api)(/v2)?/{NAME}/?", f"call(/v2)?/{NAME}/[^/]+", "upload", "upload_progress"),
    *("file=(?![A-Za-z][A-Za-z0-9+.-]+:).+", "mcp(/.*)?"),
)
OPEN = re.compile(
    "/?|/(config/?|component.js|opening|healthz|theme.css|favicon.ico|manifest.json|robots.txt|pwa_icon(/[^/]+)?"
    f"|(static|assets|svelte)/.+|gradio_api/({'|'.join(API)}))",
    re.DOTALL,
)
# Where moves of the brush come, as JSON; a form would leave its files on the disk.
TALK = re.compile("/gradio_api/component_server/?")


class Guard:
    """ASGI middleware that refuses what is not open, too large, too much at once, or finds no room. 404 for what is not
    open, 413 for a body of more than MAX_BODY bytes, said or sent, 503 for more large bodies than MAX_LARGE bytes in
    SECONDS, and 507 where the disk is full. A body that breaks off is no error."""

    def __init__(self, app: ASGIApp):
        self.app = app
        self._large: deque[tuple[float, int]] = deque()  # when a large body came, and its bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _watched(send)
        headers, path = dict(scope["headers"]), get_route_path(scope)  # that Gradio will route by, without any prefix
        said = headers.get(b"content-length", b"0")
        form = TALK.fullmatch(path) and not headers.get(b"content-type", b"").startswith(b"application/json")
        if form or not OPEN.fullmatch(path):
            await PlainTextResponse("Not Found", 404)(scope, receive, send)
        elif not said.isdigit() or len(said) > 12 or int(said) > MAX_BODY:
            await PlainTextResponse(TOO_LARGE, 413)(scope, receive, send)
        elif int(said) >= LARGE and not self._takes(int(said)):
            await PlainTextResponse(TOO_MANY, 503)(scope, receive, send)
        else:
            try:
                await self.app(scope, self._counted(receive, int(said)), send)
            except RuntimeError as error:
                # Gradio has told a stream that its session is unknown, and then raises what cannot be sent any more.
                if not isinstance(error.__cause__, HTTPException):
                    raise
                await send({"type": "http.response.body", "body": b""})
            except ClientDisconnect:
                pass  # nobody is there to be answered
            except OSError as error:
                if error.errno not in FULL:
                    raise
                await PlainTextResponse(NO_ROOM, 507)(scope, receive, send)

    def _takes(self, size: int) -> bool:
        """Whether there is room for a large body; it is taken then."""
        now = time.monotonic()
        while self._large and self._large[0][0] < now - SECONDS:
            self._large.popleft()
        room = sum(taken for _, taken in self._large) + size <= MAX_LARGE
        if room:
            self._large.append((now, size))
        return room

    def _counted(self, receive: Receive, said: int) -> Receive:
        """The same messages, up to MAX_BODY bytes of body; a large one that does not say so takes the most."""
        arrived, taken = 0, said >= LARGE

        async def counting() -> Message:
            nonlocal arrived, taken
            message = await receive()
            arrived += len(message.get("body", b""))
            if arrived > MAX_BODY:
                raise HTTPException(413, TOO_LARGE)
            if arrived >= LARGE and not taken:
                if not self._takes(MAX_BODY):
                    raise HTTPException(503, TOO_MANY)
                taken = True
            return message

        return counting


def _watched(send: Send) -> Send:
    """The same, while it is counted what was refused for want of room."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] in (413, 503, 507):
            metrics.REFUSED.inc()
        await send(message)

    return sending

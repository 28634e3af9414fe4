"""`/healthz`: whether this process can fill holes, and how much it has to do."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from .. import engine
from . import metrics

PATH = "/healthz"
STARTED = secrets.token_hex(4)  # another one whenever the server starts


def route(queue_length: Callable[[], int]) -> Route:
    """200 once the first method is loaded, 503 before. With the numbers of fills that run and of events that wait,
    whether machine code is compiled, and STARTED, by which an open page knows that it is still the same server."""

    def answer(request: Request) -> JSONResponse:
        loaded = engine.ready()
        content = {
            "loaded": loaded,
            "running": metrics.running(),
            "waiting": queue_length(),
            "compiling": engine.compiling(),
            "started": STARTED,
        }
        return JSONResponse(content, 200 if loaded else 503, {"Cache-Control": "no-store"})

    return Route(PATH, answer)

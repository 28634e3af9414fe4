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


def route(queue_length: Callable[[], int]) -> Route:
    """200 once the first method is loaded, 503 before; with the numbers of fills that run and of events that wait,
    whether machine code is being compiled, and a text that is another one whenever the server starts."""
    started = secrets.token_hex(4)

    def answer(request: Request) -> JSONResponse:
        loaded = engine.ready()
        content = {"loaded": loaded, "running": metrics.running(), "waiting": queue_length()}
        content |= {"compiling": engine.compiling(), "started": started}
        return JSONResponse(content, 200 if loaded else 503, {"Cache-Control": "no-store"})

    return Route(PATH, answer)

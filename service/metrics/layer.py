"""Counts every request, and how it was answered, by the route's template."""

import time
from http import HTTPMethod, HTTPStatus
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.metrics.metrics import Metrics
from service.problems import reason_of

UNKNOWN: Final = "unknown"
"""Of a request that no route takes: what strangers make up must not become labels."""
_METHODS: Final = frozenset(HTTPMethod)


class Measured:
    """An ASGI layer; the outermost, so that it sees what others refuse."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app, self.metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR  # unless something answers

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        began = time.perf_counter()
        with self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, noted)
            finally:
                seconds = time.perf_counter() - began
                method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
                route = getattr(scope.get("route"), "path", UNKNOWN)
                self.metrics.responded(method, route, status, seconds)
                if (reason := reason_of(scope)) is not None:
                    self.metrics.rejected(reason)

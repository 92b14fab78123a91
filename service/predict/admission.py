"""Who may come in: so many requests at once, the others are asked to come again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from fastapi import Request

from model.errors import Fault
from service.errors import DeadlinePassed, QueueFull, RequestInvalid

TIMEOUT: Final = "x-timeout-ms"
"""The header by which a client says how long he waits."""
TIMEOUT_PARAMETER: Final = {
    "name": "X-Timeout-Ms",
    "in": "header",
    "description": "how long the client waits, in milliseconds; then it is answered 504",
    "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
}
"""Its description for OpenAPI."""


class Admission:
    """Counts the requests that are in work or wait for it. For the event loop alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.inside = 0

    @property
    def taken(self) -> float:
        """The share of places that are taken, 0 … 1."""
        return self.inside / self._most

    @asynccontextmanager
    async def place(self, request: Request, default_s: float | None) -> AsyncIterator[None]:
        """A place for a request of which nothing but the head was read, for as long as its client
        waits: by his header, at most `default_s`.

        Raises RequestInvalid for a header that is none; QueueFull at once; DeadlinePassed when the
        time is over: whatever was awaited inside is cancelled then, and what had not begun is never
        done.
        """
        timeout_s = timeout_of(request, default_s)
        if self.inside >= self._most:
            await self._refuse(request)
        self.inside += 1
        try:
            async with asyncio.timeout(timeout_s):
                yield
        except TimeoutError:
            raise DeadlinePassed(f"no answer within {timeout_s:g} s, as was asked") from None
        finally:
            self.inside -= 1

    async def _refuse(self, request: Request) -> NoReturn:
        """The connection drops the body as it comes. Where it would be closed instead, the client
        might lose the answer, and his body is read.
        """
        refusal = QueueFull(f"{self.inside} requests are in work or wait; at most {self._most} may")
        if not _stays_open(request):
            async for _ in request.stream():
                pass
        raise refusal  # even if there is room by now: the body is gone


def _stays_open(request: Request) -> bool:
    """Whether the connection takes another request after this one is answered unread.

    Who waits for "100 Continue" may or may not send his body then, so that none could follow it.
    """
    said = request.headers.get("connection", "").lower()
    version: str = request.scope["http_version"]
    return version == "1.1" and said != "close" and "expect" not in request.headers


def timeout_of(request: Request, default_s: float | None) -> float | None:
    """How long a client waits, by his header, in seconds. Raises RequestInvalid."""
    text = request.headers.get(TIMEOUT)
    if text is None:
        return default_s
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10 and int(text)):
        raise RequestInvalid(Fault(TIMEOUT, f"found {text[:40]!r}", "milliseconds, above 0"))
    asked_s = int(text) / 1e3
    return asked_s if default_s is None else min(asked_s, default_s)

"""How large and how slow a request's body may be, judged before anything parses it."""

from collections.abc import Mapping
from typing import Final

from anyio import current_time, fail_after, move_on_after
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import FRAMEWORK
from service.problems import problem

LINGER_S: Final = 2.0
"""A connection that is closed on a client who still sends loses him the answer: so long we read
what he sends, and throw it away."""


class BodyLimit:
    """An ASGI layer that refuses a body over the limit, by its announced and by its real length.

    `of` gives paths that begin so another limit than `limit_bytes`. A body that is not whole after
    `within_s` is refused as well: who sends a byte a minute would hold memory for days.
    """

    def __init__(
        self, app: ASGIApp, *, limit_bytes: int, of: Mapping[str, int], within_s: float
    ) -> None:
        self.app, self.limit_bytes, self.of = app, limit_bytes, of
        self.within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"]
        own = (limit for root, limit in self.of.items() if path.startswith(root))
        limit = next(own, self.limit_bytes)
        detail = f"a body for {scope['path']} may have {limit:,} bytes"
        closing = {"Connection": "close"}
        patient = _Patient(receive, send)
        announced = _announced(headers)
        if announced > limit:
            detail = f"{detail}; it has {announced:,}"
            # Who waits for "100 Continue" sends nothing, and reading would tell him to.
            patient.drains = "expect" not in headers
            await problem(FRAMEWORK[413], detail, headers=closing)(scope, receive, patient.send)
            return

        read, whole = 0, False
        until = current_time() + self.within_s

        async def counted() -> Message:
            nonlocal read, whole
            if whole:  # what comes now is the client's end, for which one may wait
                return await receive()
            try:
                with fail_after(until - current_time()):
                    message = await receive()
            except TimeoutError:
                slow = f"the body was not whole after {self.within_s:g} s; {read:,} bytes came"
                raise HTTPException(408, slow, closing) from None
            whole = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > limit:
                patient.drains = True
                raise HTTPException(413, f"{detail}; it has more", closing)
            return message

        await self.app(scope, counted, patient.send)


def _announced(headers: Headers) -> int:
    """The body's length by its header; 0 where that says nothing."""
    text = headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else 0


class _Patient:
    """If it drains, sends a response but its end, reads what still comes, then ends it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.drains = False

    async def send(self, message: Message) -> None:
        ends = message["type"] == "http.response.body" and not message.get("more_body", False)
        if not (self.drains and ends):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        with move_on_after(LINGER_S):
            while (await self._receive()).get("more_body", False):
                pass
        await self._send({"type": "http.response.body", "body": b""})

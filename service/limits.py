"""How large and how slow a request's body may be, judged before anything parses it."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from anyio import current_time, fail_after, move_on_after
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import FRAMEWORK
from service.problems import problem

LINGER_S: Final = 2.0
"""A connection that is closed on a client who still sends loses him the answer: so long we read
what he sends, and throw it away."""


class Allowance(NamedTuple):
    """Of a body: its bytes; and after how many of them it has `within_s` once more, if ever."""

    limit_bytes: int
    each_bytes: int | None = None


class BodyLimit:
    """An ASGI layer that refuses a body over the limit, by its announced and by its real length.

    `of` gives paths that match a pattern as a whole another allowance than `usual`. A body that is
    not whole after `within_s` is refused as well: who sends a byte a minute would hold memory for
    days. One with `each_bytes` has that time for every so many.
    """

    def __init__(
        self, app: ASGIApp, *, usual: Allowance, of: Mapping[str, Allowance], within_s: float
    ) -> None:
        self.app, self.usual, self.within_s = app, usual, within_s
        self.of = {re.compile(pattern): allowance for pattern, allowance in of.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        own = (allowance for pattern, allowance in self.of.items() if pattern.fullmatch(path))
        limit, each = next(own, self.usual)
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

        read, whole, since = 0, False, 0
        until = current_time() + self.within_s

        async def counted() -> Message:
            nonlocal read, whole, since, until
            if whole:  # what comes now is the client's end, for which one may wait
                return await receive()
            try:
                with fail_after(until - current_time()):
                    message = await receive()
            except TimeoutError:
                wanted = "whole" if each is None else f"{each:,} bytes further"
                came = f"{read - since:,} bytes came"
                slow = f"the body was not {wanted} after {self.within_s:g} s; {came}"
                raise HTTPException(408, slow, closing) from None
            whole = not message.get("more_body", False)
            read += len(message.get("body", b""))
            if read > limit:
                patient.drains = True
                raise HTTPException(413, f"{detail}; it has more", closing)
            if each is not None and read - since >= each:
                since, until = read, current_time() + self.within_s
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

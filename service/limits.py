"""How many bytes a request may have: judged before anything reads them."""

from collections.abc import Mapping

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import FRAMEWORK, problem


class BodyLimit:
    """An ASGI layer that refuses a body over the limit, by its announced and by its real length.

    `of` gives single paths another limit than `limit_bytes`.
    """

    def __init__(self, app: ASGIApp, *, limit_bytes: int, of: Mapping[str, int]) -> None:
        self.app, self.limit_bytes, self.of = app, limit_bytes, of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.of.get(scope["path"], self.limit_bytes)
        detail = f"a body for {scope['path']} may have {limit:,} bytes"
        # The rest of a refused body is not read: the connection cannot be used again.
        headers = {"Connection": "close"}
        announced = _content_length(scope)
        if announced is not None and announced > limit:
            refusal = problem(FRAMEWORK[413], f"{detail}; it has {announced:,}", headers=headers)
            await refusal(scope, receive, send)
            return
        read = 0

        async def counted() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise HTTPException(413, f"{detail}; it has more", headers)
            return message

        await self.app(scope, counted, send)


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None

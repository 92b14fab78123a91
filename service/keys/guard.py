"""An ASGI layer before everything that reads a body: who has no key costs nothing."""

from typing import Final

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import STATUS, KeyMissing, RoleMissing
from service.keys.needs import role_needed
from service.keys.ring import KeyRing, allows
from service.problems import problem

_CHALLENGE: Final = {"WWW-Authenticate": "Bearer", "Connection": "close"}
_WAYS: Final = "send one as `Authorization: Bearer KEY` or `X-API-Key: KEY`"


class KeyGuard:
    """Lets a request through with a key whose role suffices, or where none is needed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        needed = role_needed(scope["method"], path)
        ring: KeyRing = scope["app"].state.context.keys
        if needed is None or not ring.needed:
            await self.app(scope, receive, send)
            return
        text = _sent(Headers(scope=scope))
        key = None if text is None else ring.find(text)
        if key is None:
            found = "no API key was sent" if text is None else "the API key is not known"
            kind = STATUS[KeyMissing]
            await problem(kind, f"{found}; {_WAYS}", headers=_CHALLENGE)(scope, receive, send)
        elif not allows(key, needed):
            detail = f"{scope['method']} {path} needs a key of role {needed}; this is a {key.role}"
            closing = {"Connection": "close"}  # the body was not read
            await problem(STATUS[RoleMissing], detail, headers=closing)(scope, receive, send)
        else:
            scope.setdefault("state", {})["key_name"] = key.name
            await self.app(scope, receive, send)


def _sent(headers: Headers) -> str | None:
    scheme, _, text = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return text.strip()
    return headers.get("x-api-key")


def caller(request: Request) -> str:
    """Who asks, for logs: the key's name, else the client's address."""
    name: str | None = request.scope.get("state", {}).get("key_name")
    return name or (request.client.host if request.client else "unknown")

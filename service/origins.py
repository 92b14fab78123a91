"""Which pages of other sites may use the server from a person's browser: none, unless named.

Without keys whoever reaches the server may do everything, and so could any page that the machine's
user has open. Browsers say where a page is from (https://fetch.spec.whatwg.org/#origin-header);
programs do not, and are not asked. With keys no page can do more than its key.
"""

import ipaddress
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.errors import STATUS, OriginForeign
from service.keys.ring import KeyRing
from service.problems import problem

_READING: Final = ("GET", "HEAD", "OPTIONS")


def install(app: FastAPI, allowed: Collection[str]) -> None:
    """Adds the layers: foreign pages are refused, but for the allowed origins.

    allowed: as `https://a.example`; `*` lets every page read, and use a key that it has.
    """
    app.add_middleware(OwnPages, allowed=allowed)
    if allowed:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=allowed,
            allow_methods=("GET", "POST", "PUT", "PATCH", "DELETE"),
            allow_headers=("*",),
            expose_headers=("X-Request-Id", "Retry-After", "Location"),
        )


class OwnPages:
    """An ASGI layer that lets no foreign page change anything while no keys are needed."""

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self.app, self.allowed = app, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _READING:
            await self.app(scope, receive, send)
            return
        ring: KeyRing = scope["app"].state.context.keys
        if ring.needed or self._may(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        detail = (
            "pages of other sites may not use this server; OKDHP_CORS_ORIGINS names those that "
            "may, and programs send no Origin"
        )
        closing = {"Connection": "close"}  # the body was not read
        response = problem(STATUS[OriginForeign], detail, headers=closing)
        await response(scope, receive, send)

    def _may(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site") not in ("cross-site", "same-site")
        return origin in self.allowed or _is_own(origin, headers.get("host", ""))


def _is_own(origin: str, host: str) -> bool:
    """Whether the origin is the address that was asked, and no name that may lead anywhere.

    A site can have its own name lead to 127.0.0.1 (DNS rebinding) and would be at home here.
    """
    try:
        page = urlsplit(origin)
        name = page.hostname or ""
        if name != "localhost":
            ipaddress.ip_address(name)
    except ValueError:
        return False
    return page.netloc.lower() == host.lower()

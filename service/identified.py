"""Every request has an id, one line in the log, and an answer even where the server is at fault."""

import logging
import re
import time
import uuid
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.handlers import mistake

log = logging.getLogger(__name__)

HEADER: Final = "X-Request-Id"
_ACCEPTED: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_id() -> str:
    """Of a request that brought none."""
    return uuid.uuid4().hex


class Identified:
    """An ASGI layer: within it everything that is logged has the request's id.

    A client may send an id of its own, as a proxy does. The line has the route's template and not
    the address, which strangers write, nor the query, which may hold what is nobody's business.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = Headers(scope=scope).get(HEADER, "")
        request_id = sent if _ACCEPTED.fullmatch(sent) else new_id()
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        status: int | None = None  # nothing was answered: the client has gone

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        began = time.perf_counter()
        with bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, noted)
            except Exception:
                if status is not None:  # half an answer is out: only closing tells the client
                    raise
                log.exception("a mistake of the server")
                await mistake()(scope, receive, noted)
            finally:
                line = {
                    "method": scope["method"],
                    "route": getattr(scope.get("route"), "path", None),
                    "status": status,
                    "ms": round((time.perf_counter() - began) * 1e3, 1),
                    "key": state.get("key_name"),
                }
                log.info("request", extra=line)

"""What reaches us before HTTP is understood: heads that are malformed, too large or never end.

Uvicorn's own protocol over `httptools` bounds neither a head's size nor its time, and answers in
plain text. What comes after the head is the application's.
"""

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.errors import FRAMEWORK, Kind
from service.identified import HEADER, new_id
from service.problems import problem

log = logging.getLogger(__name__)

HEAD_BYTES: Final = 32 * 1024
"""Of a request's first line and all headers together."""


class Protocol(HttpToolsProtocol):
    """One connection."""

    head_s = 10.0
    """Within so long a head must have come, from its connection or from its first byte on, and the
    next one after a request that was answered before its body had come."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_bytes: int | None = 0  # None once a head is complete
        self._whole = False  # the message that was begun last
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_came()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_bytes is None or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(FRAMEWORK[431], f"a request's head may have {HEAD_BYTES:,} bytes")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._whole = False
        self._expect_head()

    def on_headers_complete(self) -> None:
        self._head_came()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._whole = True
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._whole:  # uvicorn drops the rest, and would wait for it and the next for ever
            self._hurry()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for bytes that are no HTTP."""
        self._refuse(FRAMEWORK[400], "the bytes are not an HTTP request")

    def _expect_head(self) -> None:
        self._head_came()
        self._head_bytes = 0
        self._hurry()

    def _hurry(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(self.head_s, self.transport.close)

    def _head_came(self) -> None:
        self._head_bytes = None
        if self._patience is not None:
            self._patience.cancel()

    def _refuse(self, kind: Kind, detail: str) -> None:
        request_id = new_id()
        headers = {"Connection": "close", HEADER: request_id}
        response = problem(kind, detail, headers=headers, request_id=request_id)
        lines = [f"HTTP/1.1 {kind.status} {HTTPStatus(kind.status).phrase}".encode()]
        lines += [name + b": " + value for name, value in response.raw_headers]
        self.transport.write(b"\r\n".join([*lines, b"", bytes(response.body)]))
        self.transport.close()
        log.info("refused a head", extra={"status": kind.status, "request_id": request_id})

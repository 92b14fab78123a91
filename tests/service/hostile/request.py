"""A hostile request, as bytes for a socket: a client library would refuse to send most of them."""

import http.client
import socket
import time
from typing import NamedTuple
from urllib.parse import urlsplit


class Hostile(NamedTuple):
    """A request. stops: whether its sender never sends the second half of the body."""

    name: str
    body: bytes = b""
    method: str = "POST"
    target: str = "/predict"
    headers: dict[str, str] = {}  # noqa: RUF012  # nobody writes into it
    stops: bool = False

    @property
    def head(self) -> bytes:
        """The request's first lines, with the body's length unless a header tells of it."""
        lines = {"Host": "localhost", "Connection": "close", **self.headers}
        if not {"Content-Length", "Transfer-Encoding"} & set(lines):
            lines["Content-Length"] = str(len(self.body))
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{self.method} {self.target} HTTP/1.1\r\n{text}\r\n".encode("latin-1", "replace")


class Reply(NamedTuple):
    """What came back, and after how long."""

    status: int
    media_type: str
    body: bytes
    took_s: float


def send(url: str, request: Hostile) -> Reply:
    """Its answer, on a connection of its own.

    Raises HTTPException or OSError where the server ends the connection without one.
    """
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        began = time.monotonic()
        try:
            connection.sendall(request.head)
            half = len(request.body) // 2 if request.stops else len(request.body)
            connection.sendall(request.body[:half])
        except OSError:
            pass  # refused while we sent; the answer lies there all the same
        reply = http.client.HTTPResponse(connection, method=request.method)
        reply.begin()
        body = reply.read()
        media_type = reply.headers.get_content_type()
        return Reply(reply.status, media_type, body, time.monotonic() - began)

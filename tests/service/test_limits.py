"""Bodies over the limit are refused before they are read whole, and the client learns why."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from service import handlers
from service.limits import Allowance, BodyLimit

LIMIT = 100_000
WITHIN_S = 1.0


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A real server: what matters happens on the socket."""
    app = FastAPI()
    handlers.install(app)
    app.add_middleware(
        BodyLimit,
        usual=Allowance(1_000),
        of={"/large": Allowance(LIMIT), "/streamed": Allowance(LIMIT, each_bytes=1_000)},
        within_s=WITHIN_S,
    )

    @app.post("/large")
    @app.post("/streamed")
    async def large(request: Request) -> int:
        return len(await request.body())

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()
    server.should_exit = True
    thread.join()


def answer(address: tuple[str, int], *pieces: bytes, pause_s: float = 0) -> bytes:
    """What a plain client reads that first sends everything it wants to say."""
    with socket.create_connection(address, timeout=10) as connection:
        for piece in pieces:
            time.sleep(pause_s)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(piece)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := connection.recv(65536):
                received += piece
        return received


def head(*lines: str, path: str = "/large") -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def test_a_body_within_the_limit_passes(address: tuple[str, int]) -> None:
    """The limit is the last length that is accepted."""
    lines = head(f"Content-Length: {LIMIT}", "Connection: close")

    assert answer(address, lines, b"x" * LIMIT).endswith(str(LIMIT).encode())


def test_an_announced_excess_is_refused_without_reading(address: tuple[str, int]) -> None:
    """The answer comes though not one byte of the body was sent."""
    received = answer(address, head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue"))

    assert received.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in received
    assert b"100,001" in received


def test_a_client_that_only_reads_at_the_end_still_learns_why(address: tuple[str, int]) -> None:
    """Closing on somebody who sends makes his system throw our answer away."""
    body = b"x" * (20 * LIMIT)

    received = answer(address, head(f"Content-Length: {len(body)}"), body)

    assert received.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in received


def test_a_length_that_is_not_announced_is_counted(address: tuple[str, int]) -> None:
    """Chunked bodies tell their length only by arriving."""
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"

    received = answer(address, head("Transfer-Encoding: chunked"), *[chunk] * 20, b"0\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 413")
    assert b"it has more" in received


def test_a_client_that_never_ends_is_left_after_a_while(address: tuple[str, int]) -> None:
    """Reading on is a kindness with an end."""
    began = time.monotonic()

    received = answer(address, head("Content-Length: 999999999999"), b"x" * LIMIT)

    assert b"body-too-large" in received
    assert time.monotonic() - began < 5


def test_a_body_that_does_not_arrive_is_refused(address: tuple[str, int]) -> None:
    """Connections that say a byte now and then are the cheapest way to fill a server."""
    received = answer(address, head("Content-Length: 100"), b"x")

    assert received.startswith(b"HTTP/1.1 408")
    assert b"body-too-slow" in received
    assert b"1 bytes came" in received


def test_a_streamed_body_may_take_long_as_long_as_it_comes(address: tuple[str, int]) -> None:
    """A data set over a thin line is no attack, a trickle is."""
    lines = head("Content-Length: 3000", "Connection: close", path="/streamed")
    thirds = (b"x" * 1_000, b"x" * 1_000, b"x" * 1_000)

    received = answer(address, lines, *thirds, pause_s=0.45 * WITHIN_S)
    trickle = answer(address, lines, *thirds[:2], b"x", pause_s=0.1)

    assert received.endswith(b"3000")
    assert trickle.startswith(b"HTTP/1.1 408")
    assert b"was not 1,000 bytes further after 1 s; 1 bytes came" in trickle


def test_every_other_path_has_the_small_limit(client: TestClient) -> None:
    """JSON of megabytes is nobody's job, and parsing it would hold up everybody."""
    response = client.post("/jobs", content=b" " * (1024**2 + 1))

    assert response.status_code == 413
    assert response.json()["type"] == "urn:okdhp:problem:body-too-large"

"""What is no HTTP request, or never becomes one, gets an answer or an end."""

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from fastapi import FastAPI

from service.app import create_app
from service.predict.admission import Admission
from service.protocol import HEAD_BYTES, Protocol
from service.settings import ServiceSettings


class Hasty(Protocol):
    head_s = 0.4


@pytest.fixture(scope="module")
def app(settings: ServiceSettings) -> FastAPI:
    return create_app(settings)


@pytest.fixture
def full(app: FastAPI, address: tuple[str, int]) -> Iterator[Admission]:
    """A server all of whose places are taken."""
    admission: Admission = app.state.context.admission
    admission.inside += app.state.context.settings.max_in_flight
    yield admission
    admission.inside -= app.state.context.settings.max_in_flight


@pytest.fixture(scope="module")
def address(app: FastAPI) -> Iterator[tuple[str, int]]:
    """Of a real server, impatient so that the test is not slow."""
    config = uvicorn.Config(app, port=0, http=Hasty, log_level="critical")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    thread.join(20)


def said(address: tuple[str, int], *parts: bytes, pause_s: float = 0.0) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(address, timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        answer = b""
        try:
            while data := connection.recv(65536):
                answer += data
        except ConnectionResetError:  # it was closed while we still sent
            pass
        return answer


def problem_of(answer: bytes) -> tuple[int, str]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    assert f"content-length: {len(body)}".encode() in head.lower()
    document = json.loads(body)
    assert f"x-request-id: {document['request_id']}".encode() in head.lower()
    assert int(head.split()[1]) == document["status"]
    return document["status"], document["type"]


@pytest.mark.parametrize(
    "content",
    [b"hello\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00"],
)
def test_bytes_that_are_no_http_are_told_so(address: tuple[str, int], content: bytes) -> None:
    """As a problem document, like everything else."""
    assert problem_of(said(address, content)) == (400, "urn:okdhp:problem:request-malformed")


def test_a_head_without_an_end_is_refused(address: tuple[str, int]) -> None:
    """In pieces, so that no piece is too large."""
    line = b"X-Filler: " + b"x" * 4000 + b"\r\n"
    answer = said(address, b"GET /healthz HTTP/1.1\r\n", *[line] * (HEAD_BYTES // 4000 + 1))

    assert problem_of(answer) == (431, "urn:okdhp:problem:head-too-large")


def test_a_large_body_is_no_large_head(address: tuple[str, int]) -> None:
    """It may come in one piece with the head."""
    head = b"POST /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    body = b"x" * 4 * HEAD_BYTES
    answer = said(address, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    assert problem_of(answer) == (405, "urn:okdhp:problem:method-not-allowed")


@pytest.mark.parametrize(
    "parts",
    [
        [b""],
        [b"GET /healthz HT"],
        [b"GET /healthz HTTP/1.1\r\n", *[b"X-A: 1\r\n"] * 12],
        [b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b"GET /healthz HTTP/1.1\r\nX-"],
    ],
)
def test_a_head_that_does_not_come_ends_the_connection(
    address: tuple[str, int], parts: list[bytes]
) -> None:
    """Thousands of such connections cost an attacker nothing; also after a good request."""
    began = time.monotonic()
    try:
        answer = said(address, *parts, pause_s=0.05)
    except BrokenPipeError:
        answer = b""

    assert time.monotonic() - began < 5
    assert answer.count(b"HTTP/1.1 ") == sum(b"\r\n\r\n" in part for part in parts)


def test_after_an_answer_to_an_unread_body_the_next_request_is_answered(
    address: tuple[str, int], full: Admission
) -> None:
    """A client sends all of his body before he reads that there was no room for it."""
    refused = post(b"x" * 500_000)
    answer = said(address, refused, refused, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

    assert [part.split()[0] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"429", b"429", b"200"]


def test_a_body_that_nobody_reads_must_come_soon(address: tuple[str, int], full: Admission) -> None:
    """Its request is answered, so nothing else bounds its time."""
    began = time.monotonic()
    try:
        answer = said(address, post(b"x" * 50_000)[:-20_000], *[b"x"] * 40, pause_s=0.05)
    except BrokenPipeError:
        answer = b""

    assert time.monotonic() - began < 5
    assert answer.count(b"HTTP/1.1 429") <= 1


def post(body: bytes) -> bytes:
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

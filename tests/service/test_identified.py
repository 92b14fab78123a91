"""A request's id goes everywhere with it; its line in the log says no more than it should."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient

from service import handlers
from service.headers import SecurityHeaders
from service.identified import HEADER, Identified
from service.logs import log_to_stderr

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What the process logged so far; the logging of the tests is put back afterwards."""
    root, written = logging.getLogger(), io.StringIO()
    before, level = root.handlers[:], root.level
    root.handlers = []  # those of pytest would be closed
    monkeypatch.setattr(sys, "stderr", written)
    log_to_stderr("auto")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    root.handlers, root.level = before, level


@pytest.fixture
def faulty() -> Iterator[TestClient]:
    """An application with bugs, within our layers."""
    app = FastAPI()
    handlers.install(app)
    app.add_middleware(Identified)
    app.add_middleware(SecurityHeaders)

    @app.get("/bug/{secret}")
    def bug(secret: str) -> None:
        key = "okdhp_a-key-in-a-variable"
        raise ZeroDivisionError(len(key) * " ")

    @app.get("/half")
    def half() -> StreamingResponse:
        def pieces() -> Iterator[bytes]:
            yield b"half"
            raise ZeroDivisionError

        return StreamingResponse(pieces())

    with TestClient(app) as client:
        yield client


def test_every_answer_has_an_id_and_no_two_the_same(client: TestClient) -> None:
    """Good ones and refusals, also those of layers before the routes."""
    answers = [client.get(path) for path in ("/healthz", "/models", "/nowhere", "/jobs?limit=x")]
    answers.append(client.post("/jobs", content=b" " * (1024**2 + 1)))

    ids = [answer.headers[HEADER] for answer in answers]

    assert len(set(ids)) == 5
    for answer, found in zip(answers[2:], ids[2:], strict=True):
        assert answer.json()["request_id"] == found


def test_a_client_s_own_id_is_kept(client: TestClient) -> None:
    """A proxy made it, and its log has it."""
    sent = "Proxy-1.2_3" + "x" * 53

    assert client.get("/nowhere", headers={HEADER: sent}).json()["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", 'a"}', "a\t", "é", "<script>"])
def test_an_id_that_could_do_harm_is_replaced(client: TestClient, sent: str) -> None:
    """It is written into logs and answers that others read."""
    found = client.get("/healthz", headers={HEADER: sent.encode()}).headers[HEADER]

    assert found != sent
    assert found.isalnum()
    assert len(found) == 32


def test_a_request_is_one_line_without_what_is_private(client: TestClient, lines: Lines) -> None:
    """Who may read a log may not therefore read photographs and keys."""
    client.get("/jobs/no-such?token=hidden", headers={"X-API-Key": "okdhp_hidden", HEADER: "one"})

    (line,) = [line for line in lines() if line["event"] == "request"]
    assert line.pop("ms") > 0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "logger": "service.identified",
        "method": "GET",
        "route": "/jobs/{job_id}",
        "status": 404,
        "key": None,
        "request_id": "one",
    }


def test_a_bug_is_answered_with_id_and_headers_and_logged_with_its_trace(
    faulty: TestClient, lines: Lines
) -> None:
    """The client gets what he needs to ask, we what we need to find it; no variables."""
    answer = faulty.get("/bug/hidden")

    assert answer.status_code == 500
    assert answer.json()["type"] == "urn:okdhp:problem:internal"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "Zero" not in answer.text
    trace, line = (line for line in lines() if line["logger"] == "service.identified")
    assert "ZeroDivisionError" in trace["exception"]
    assert "okdhp_a-key" not in trace["exception"]
    assert {trace["request_id"], line["request_id"]} == {answer.headers[HEADER]}
    assert (line["status"], line["route"]) == (500, "/bug/{secret}")


def test_an_answer_that_breaks_off_is_not_mended(faulty: TestClient) -> None:
    """A second head in its middle would be taken for data."""
    with pytest.raises(ZeroDivisionError):
        faulty.get("/half")


def test_people_are_told_in_lines_of_their_own(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without colours where nobody sees them."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    log_to_stderr("console")

    logging.getLogger("x").warning("said %s", "so", extra={"color_message": "said \x1b[36m%s"})

    assert "said so" in written.getvalue()
    assert "color_message" not in written.getvalue()
    assert "\x1b" not in written.getvalue()
    assert not written.getvalue().startswith("{")

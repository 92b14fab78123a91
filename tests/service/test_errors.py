"""Every error is a problem document with a stable type, and says nothing of the server."""

from collections.abc import Iterator

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response

import model.errors
import worker.errors
from model.errors import PoseError
from service import errors, handlers
from service.home import LaunchRefused
from service.settings import ServiceSettings


def leaves(kind: type[PoseError]) -> Iterator[type[PoseError]]:
    """The classes that are raised."""
    below = kind.__subclasses__()
    if not below:
        yield kind
    for one in below:
        yield from leaves(one)


def assert_problem(response: Response, status: int, slug: str) -> None:
    """RFC 9457, with the members that ours always have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == f"urn:okdhp:problem:{slug}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]


def test_every_error_that_can_reach_the_edge_has_a_status() -> None:
    """One that is forgotten would be a 500: a bug report for a user's own mistake."""
    ours = (model.errors, worker.errors, errors)
    reachable = {
        leaf
        for leaf in leaves(PoseError)
        if leaf.__module__ in {module.__name__ for module in ours}
    }

    assert reachable <= errors.STATUS.keys()
    assert LaunchRefused not in errors.STATUS  # ends the program before there is an edge


def test_statuses_are_those_of_clients_and_of_absence() -> None:
    """A 500 in the table would excuse a bug."""
    kinds = [*errors.STATUS.values(), *errors.FRAMEWORK.values()]

    assert {kind.status for kind in kinds} <= {
        400,
        401,
        403,
        404,
        405,
        408,
        409,
        410,
        413,
        415,
        422,
        429,
        431,
        503,
        504,
    }


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/nowhere", 404, "route-unknown"),
        ("GET", "/jobs/00000000-0000-0000-0000-000000000000/nowhere", 404, "route-unknown"),
        ("DELETE", "/predict", 405, "method-not-allowed"),
        ("GET", "/jobs?limit=many", 422, "request-invalid"),
        ("GET", "/docs/static/..%2f..%2fmain.py", 404, "route-unknown"),
    ],
)
def test_the_frameworks_own_errors_are_problems_too(
    client: TestClient, method: str, path: str, status: int, slug: str
) -> None:
    """A client should need one way to read errors, whoever found them."""
    assert_problem(client.request(method, path), status, slug)


def test_405_says_what_the_address_takes(client: TestClient) -> None:
    """RFC 9110 demands the Allow header."""
    assert client.get("/predict").headers["allow"] == "POST"


def test_json_sent_as_a_form_is_told_how_to_be_sent(client: TestClient) -> None:
    """`curl -d '{…}'` declares a form: the commonest mistake of all."""
    response = client.post(
        "/jobs",
        content=b'{"kind": "distill"}',
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert_problem(response, 422, "request-invalid")
    assert "Content-Type: application/json" in response.json()["errors"][0]["accepted"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe",
        b"[" * 50_000,
        b'{"kind":' * 900 + b"1" + b"}" * 900,
        b'{"kind": "distill", "config": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"kind": ' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"kind": "distill", "config": {"preset": ' + b"[" * 100 + b"]" * 100 + b"}}",
        b'{"kind": "\\ud800", "config": {}}',
        b'{"kind": "distill", "config": {"\\ud800": 1}}',
        b'{"kind": "distill", "config": {"preset": "\\ud800"}}',
        b'{"kind": "distill", "config": {"preset": "tiny", "training": {"epochs": NaN}}}',
        b'{"kind": "distill", "config": {"preset": "tiny", "training": {"epochs": 1e400}}}',
        b'{"kind": "distill", "config": {"preset": "tiny", "training": {"epochs": '
        + b"9" * 5000
        + b"}}}",
    ],
)
def test_hostile_json_is_refused_as_a_problem(client: TestClient, body: bytes) -> None:
    """Depth, encodings and numbers that break parsers, also while the error itself is written."""
    response = client.post("/jobs", content=body, headers={"Content-Type": "application/json"})

    assert response.status_code in (400, 422), response.text
    assert response.headers["content-type"] == "application/problem+json"


def test_a_flood_of_faults_is_cut_short(client: TestClient) -> None:
    """An answer must not be many times as long as the question, nor keep a core busy."""
    config = {f"key{i}": i for i in range(1_500)}

    response = client.post("/jobs", json={"kind": "distill", "config": config})

    assert_problem(response, 422, "config-invalid")
    assert len(response.json()["errors"]) == 50
    assert len(response.content) < 50_000


def test_more_than_any_configuration_holds_is_not_looked_at(client: TestClient) -> None:
    """Each wrong key is compared with all right ones: a hundred thousand take minutes."""
    config = {f"key{i}": i for i in range(50_000)}

    response = client.post("/jobs", json={"kind": "distill", "config": config})

    assert_problem(response, 422, "request-invalid")
    assert "more than 2,000 values" in response.json()["detail"]


def test_a_bug_is_a_problem_without_a_trace(settings: ServiceSettings) -> None:
    """Whoever attacks learns nothing from a mistake of ours; the log has it."""
    app = FastAPI()
    handlers.install(app)

    @app.get("/bug")
    def bug() -> None:
        raise ZeroDivisionError("/home/secret/path")

    with TestClient(app, raise_server_exceptions=False) as client:
        response = client.get("/bug")

    assert_problem(response, 500, "internal")
    assert "secret" not in response.text
    assert "Zero" not in response.text


def test_no_answer_may_be_taken_for_another_type(client: TestClient) -> None:
    """A browser that guesses types could run what a stranger uploaded."""
    for path in ("/healthz", "/nowhere", "/docs", "/openapi.json", "/models"):
        assert client.get(path).headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in client.get("/models").headers

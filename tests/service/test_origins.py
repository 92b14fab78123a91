"""Pages of other sites, as a browser sends their requests: what they may, and what they may not."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from service.settings import ServiceSettings
from worker.roles import Role
from worker.stores import open_stores

FRIEND = "https://lab.example"
PROMOTE = "/models/glow/versions/1/promote"


@pytest.fixture(scope="module")
def friendly(
    with_student: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
) -> Iterator[TestClient]:
    """A server that knows one other site."""
    with started(with_student.model_copy(update={"cors_origins": (FRIEND,)})) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},  # a page in a frame without rights
        {"Origin": "http://127.0.0.1:9"},  # another server of this machine
        {"Origin": "http://[::"},
        {"Origin": ""},
        {"Origin": "http://evil.example:8000", "Host": "evil.example:8000"},  # DNS rebinding
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_page_of_another_site_can_change_nothing(
    client: TestClient, headers: dict[str, str]
) -> None:
    """Whoever only looks at a page must not thereby start jobs or swap models."""
    for path in (PROMOTE, "/jobs", "/predict"):
        answer = client.post(path, headers={"Host": "127.0.0.1:8000", **headers})

        assert answer.status_code == 403
        assert answer.json()["type"] == "urn:okdhp:problem:origin-foreign"
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},  # a program
        {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"},
        {"Origin": "http://localhost:8000", "Host": "localhost:8000"},
        {"Origin": "http://[::1]:8000", "Host": "[::1]:8000"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_programs_and_our_own_page_may(client: TestClient, headers: dict[str, str]) -> None:
    """/docs has a button that sends requests."""
    answer = client.post(PROMOTE, headers={"Host": "127.0.0.1:8000", **headers})

    assert answer.status_code == 200, answer.text


def test_a_site_that_is_named_may_and_others_still_not(friendly: TestClient) -> None:
    """Also through the question that browsers ask first."""
    asked = {"Origin": FRIEND, "Access-Control-Request-Method": "POST"}

    preflight = friendly.options(
        "/predict", headers={**asked, "Access-Control-Request-Headers": "x-api-key"}
    )
    answer = friendly.post(PROMOTE, headers={"Origin": FRIEND})

    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == FRIEND
    assert preflight.headers["x-request-id"]
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == FRIEND
    evil = {**asked, "Origin": "https://evil.example"}
    assert friendly.options("/predict", headers=evil).status_code == 400
    assert friendly.post(PROMOTE, headers=evil).status_code == 403


def test_an_origin_that_could_never_match_is_refused_at_the_start() -> None:
    """With a path or without a scheme it would quietly allow nobody."""
    for wrong in ("lab.example", "https://lab.example/", "https://lab.example/app", "null"):
        with pytest.raises(ValidationError):
            ServiceSettings(cors_origins=(wrong,))


def test_with_keys_the_key_decides(
    with_student: ServiceSettings,
    started: Callable[[ServiceSettings], AbstractContextManager[TestClient]],
) -> None:
    """A page that has none is refused for that; one behind a proxy's name works. Runs last: the
    home has keys from here on."""
    stores = open_stores(with_student)
    key = stores.keys.create("page", Role.ADMIN)
    stores.close()
    page = {"Origin": "https://pose.example", "Host": "pose.example"}
    with started(with_student) as client:
        assert client.post(PROMOTE, headers=page).status_code == 401
        answer = client.post(PROMOTE, headers={**page, "X-API-Key": key})
        assert answer.status_code == 200

"""API keys at the edge: who gets in, who does not, and what is kept of a key."""

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import httpx
import pytest
from fastapi.testclient import TestClient

from service.keys.needs import role_needed
from service.settings import ServiceSettings
from worker.roles import Role
from worker.stores import Stores, open_stores

Started = Callable[[ServiceSettings], AbstractContextManager[TestClient]]


@pytest.fixture(scope="module")
def stores(with_student: ServiceSettings) -> Iterator[Stores]:
    opened = open_stores(with_student)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def keys(stores: Stores) -> dict[Role, str]:
    """One of each role."""
    return {role: stores.keys.create(f"for-{role}", role) for role in Role}


@pytest.fixture(scope="module")
def guarded(
    with_student: ServiceSettings, keys: dict[Role, str], started: Started
) -> Iterator[TestClient]:
    """A server that has keys."""
    with started(with_student) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_nobody_without_a_key_gets_in(guarded: TestClient) -> None:
    """Wherever he knocks, also where nothing is."""
    for path in ("/models", "/jobs", "/datasets", "/nowhere", "/models/"):
        refused = guarded.get(path)
        assert refused.status_code == 401, path
        assert refused.headers["www-authenticate"] == "Bearer"
        assert refused.json()["type"] == "urn:okdhp:problem:key-missing"
    assert guarded.get("/models", headers=bearer("okdhp_guess")).status_code == 401
    assert guarded.get("/models", headers={"Authorization": "Basic YTpi"}).status_code == 401


def test_probes_and_the_description_are_open(guarded: TestClient) -> None:
    """A kubelet has no key, and a person must find out how to send one."""
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json", "/docs/static/swagger-ui.css"):
        assert guarded.get(path).status_code == 200, path


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/models", Role.PREDICT),
        ("POST", "/predict", Role.PREDICT),
        ("GET", "/jobs", Role.JOBS),
        ("GET", "/datasets", Role.JOBS),
        ("POST", "/models/glow/versions/1/promote", Role.ADMIN),
        ("GET", "/nowhere", Role.ADMIN),
    ],
)
def test_a_role_may_what_it_and_those_below_it_may(
    guarded: TestClient, keys: dict[Role, str], method: str, path: str, least: Role
) -> None:
    """And is told which one it lacks."""
    for role, key in keys.items():
        answer = guarded.request(method, path, headers=bearer(key))
        if role.includes(least):
            assert answer.status_code not in (401, 403), role
        else:
            assert answer.status_code == 403, role
            assert f"needs a key of role {least}" in answer.json()["detail"]


def test_either_header_will_do(guarded: TestClient, keys: dict[Role, str]) -> None:
    """Some clients can set only one of them."""
    key = keys[Role.PREDICT]

    assert guarded.get("/models", headers={"X-API-Key": key}).status_code == 200
    assert guarded.get("/models", headers={"Authorization": f"bearer {key}"}).status_code == 200


def test_a_promotion_is_signed_with_the_key_s_name(
    guarded: TestClient, keys: dict[Role, str]
) -> None:
    """An address tells nobody who it was."""
    admin = bearer(keys[Role.ADMIN])

    line = guarded.post("/models/glow/versions/1/promote", headers=admin).json()

    assert line["who"] == "for-admin"


def test_a_revoked_key_stops_and_the_last_one_opens_no_door(
    with_student: ServiceSettings, stores: Stores, keys: dict[Role, str], started: Started
) -> None:
    """A running server notices; an empty table would have let everybody in."""
    key = stores.keys.create("short-lived", Role.PREDICT)
    with started(with_student) as client:
        assert client.get("/models", headers=bearer(key)).status_code == 200
        stores.keys.revoke("short-lived")
        until = time.monotonic() + 10
        while time.monotonic() < until:
            answer = client.get("/models", headers=bearer(key))
            if answer.status_code == 401:
                break
            time.sleep(0.02)
        assert answer.status_code == 401


def test_only_hashes_are_kept(with_student: ServiceSettings, keys: dict[Role, str]) -> None:
    """Whoever reads a backup must not get in by it."""
    rows = sqlite3.connect(with_student.home / "okdhp.db").execute("SELECT * FROM api_keys")

    assert not {value for row in rows for value in row} & set(keys.values())


def test_every_described_route_needs_a_role_or_is_a_probe(guarded: TestClient) -> None:
    """A route that somebody adds is closed until he says who may."""
    paths = guarded.get("/openapi.json").json()["paths"]

    for path, methods in paths.items():
        for method, operation in methods.items():
            closed = role_needed(method.upper(), path) is not None
            assert closed or path in ("/healthz", "/readyz") or path.startswith("/v2/health")
            assert closed == ("security" in operation), path
    assert role_needed("POST", "/what/comes/next") is Role.ADMIN


def test_other_machines_need_keys_or_the_word_insecure(
    serve: Callable[..., object], tmp_path: object
) -> None:
    """Who binds to every address by habit must not open a server to his network."""
    with pytest.raises(AssertionError, match=r"okdhp keys create NAME.*--insecure"):
        serve(tmp_path, "--no-worker", "--host", "0.0.0.0")

    server = serve(tmp_path, "--no-worker", "--host", "0.0.0.0", "--insecure")
    port = server.url.rpartition(":")[2]  # type: ignore[attr-defined]
    assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200

"""A real server answers every hostile request politely, and the next good one as before."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from model.predictor import BUNDLED
from tests.service.hostile.corpus import corpus
from tests.service.hostile.pictures import photograph
from tests.service.hostile.request import Hostile, Reply, send

pytestmark = pytest.mark.skipif(not BUNDLED.is_file(), reason="no student is bundled")

BODY_TIMEOUT_S = 0.3
WITHIN_S = 1.0
TRIES = 3
"""The machine may be busy with something else for a second, hardly three times."""
EVERY = 20
"""After so many a good request is sent."""
PROBLEMS = {"application/problem+json": "detail", "application/json": "error"}


def fault_of(request: Hostile, reply: Reply, documented: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer, if anything is."""
    if reply.status < 400:
        fine = 200 <= reply.status < 300 or reply.status == 307
    else:
        known = reply.status < 500 or reply.status in (503, 504)
        key = PROBLEMS.get(reply.media_type)
        fine = known and key is not None and bool(json.loads(reply.body)[key])
    allowed = statuses(request, documented)
    if not fine or (allowed is not None and str(reply.status) not in allowed):
        return f"{reply.status} {reply.media_type}, of {allowed}: {reply.body[:200]!r}"
    return None


def statuses(request: Hostile, documented: Mapping[str, Any]) -> set[str] | None:
    """Those that the OpenAPI document names for a request's operation; None: it has no such."""
    path = request.target.partition("?")[0]
    for template, methods in documented.items():
        pattern = re.sub(r"\\{[^}]+\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, path) and request.method.lower() in methods:
            return set(methods[request.method.lower()]["responses"])
    return None


def test_every_hostile_request_is_answered_politely_and_the_next_good_one_as_before(
    tmp_path: Path, serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stranger may send anything; what he gets is a document that says what was wrong."""
    monkeypatch.setenv("OKDHP_BODY_TIMEOUT_S", str(BODY_TIMEOUT_S))
    server = serve(tmp_path / "home")
    server.wait_for("ready")
    described = json.loads(send(server.url, Hostile("", method="GET", target="/openapi.json")).body)
    good = Hostile("good", photograph())
    before = json.loads(send(server.url, good).body)["poses"]
    faults = []

    for i, request in enumerate(corpus()):
        reply = send(server.url, request)
        for _ in range(TRIES - 1):
            if reply.took_s < WITHIN_S:
                break
            reply = send(server.url, request)
        fault = fault_of(request, reply, described["paths"])
        if fault or reply.took_s >= WITHIN_S:
            faults.append(f"{request.name}: {fault}, {reply.took_s:.2f} s")
        if i % EVERY == 0 or fault:
            assert json.loads(send(server.url, good).body)["poses"] == before, request.name

    assert i + 1 >= 300
    assert not faults, "\n".join(faults)
    assert json.loads(send(server.url, good).body)["poses"] == before
    assert server.process.poll() is None
    assert not [line for line in server.lines if "Traceback" in line]

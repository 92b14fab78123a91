"""Schemathesis asks what the OpenAPI document allows, and what it does not."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.python.asgi import ASGIClient, get_client, shutdown_lifespans
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.app import create_app
from service.settings import ServiceSettings

schemathesis.serializer.alias("application/zip", "application/octet-stream")
EXAMPLES = 20
"""Of every operation."""
KNOWN = {"name": "glow", "model": "glow", "version": 1}
"""What is registered: no chance finds it."""
CHECKS = [  # the document knows no 500, but 503 and 504
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def session(with_student: ServiceSettings) -> Iterator[ASGIClient]:
    """What schemathesis asks with: a started application whose model is loaded."""
    with get_client(create_app(with_student)) as session:
        until = time.monotonic() + 20
        while session.get("http://testserver/readyz").status_code != 200:
            assert time.monotonic() < until, "the model was not loaded"
            time.sleep(0.01)
        yield session
    shutdown_lifespans()  # else at the interpreter's end


def test_every_answer_is_as_the_document_says(session: ASGIClient) -> None:
    """Client libraries are made from the document: an answer that it does not know breaks them."""
    schema = schemathesis.openapi.from_asgi("/openapi.json", session.app)
    _plain(schema.raw_schema)
    faults: list[str] = []
    seen: set[tuple[str, int]] = set()

    for result in schema.get_all_operations():
        operation = result.ok()
        known = {name: value for name, value in KNOWN.items() if f"{{{name}}}" in operation.path}
        asked = [operation.as_strategy(mode) for mode in GenerationMode]
        if known:
            asked.append(operation.as_strategy(path_parameters=known))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.one_of(asked))
        def ask(case: Case) -> None:
            answer = case.call_and_validate(checks=CHECKS, session=session)
            seen.add((case.operation.label, answer.status_code))

        try:
            ask()
        except FailureGroup as fault:
            faults.append(f"{operation.label}: {fault}")

    assert not faults, "\n\n".join(faults)
    # It was let in, and it did ask for what is refused.
    assert {("GET /models/{name}", 200), ("POST /jobs", 422), ("POST /predict", 415)} <= seen


def _plain(node: Any) -> None:
    """Says of arrays of one type in place what `prefixItems` says of each of their places, which
    schemathesis 4.32 rewrites to what its own validator refuses.
    """
    if isinstance(node, dict):
        if prefix := node.pop("prefixItems", None):
            assert all(one == prefix[0] for one in prefix)
            node["items"] = prefix[0]
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            _plain(inner)

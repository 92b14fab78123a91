"""Promotions that the operator's policy refuses, roll back, load and unload, over HTTP."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from model.appraisal import appraise
from model.files import sha256_of
from model.receipt import beside, write_receipt
from service.settings import ServiceSettings
from worker.gate import GatePolicy
from worker.registry import read_card
from worker.store import State
from worker.stores import Stores, open_stores


@pytest.fixture
def stores(with_student: ServiceSettings) -> Iterator[Stores]:
    opened = open_stores(with_student)
    yield opened
    opened.close()


@pytest.fixture
def strict(
    with_student: ServiceSettings, started: Callable[[ServiceSettings], TestClient]
) -> Iterator[TestClient]:
    """A server whose operator demands what the brightest pixel cannot show."""
    policy = GatePolicy(min_accuracy={"lsp:valid pck@0.2": 60.0}, licences=("Apache-2.0",))
    with started(with_student.model_copy(update={"gate": policy})) as client:
        yield client


def test_the_environment_sets_each_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names that docs/registry.md lists; settings that look alike are not disturbed."""
    for name, value in {
        "GATE_MOVED_SHARE": "0.1",
        "GATE_METRIC_CHANGE": "2",
        "GATE_MAX_LATENCY_MS": "7",
        "GATE_MIN_ACCURACY": '{"lsp:valid pck@0.2": 60}',
        "GATE_MAX_LOSS": "1.5",
        "GATE_LICENCES": '["Apache-2.0"]',
        "MAX_BOXES": "3",
    }.items():
        monkeypatch.setenv(f"OKDHP_{name}", value)

    settings = ServiceSettings()

    assert settings.max_boxes == 3
    assert settings.gate == GatePolicy(
        moved_share=0.1,
        metric_change=2,
        max_latency_ms=7,
        min_accuracy={"lsp:valid pck@0.2": 60},
        max_loss=1.5,
        licences=("Apache-2.0",),
    )


def test_a_refusal_names_every_demand_with_its_numbers(
    strict: TestClient, add_student: Callable[[str, float], int]
) -> None:
    """And nothing changes."""
    version = add_student("branch1", 1.0)
    before = strict.get("/models/glow").json()["promotions"]

    refused = strict.post(f"/models/glow/versions/{version}/promote")

    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:okdhp:problem:promotion-refused"
    assert [(e["where"], e["problem"], e["accepted"]) for e in refused.json()["errors"]] == [
        ("accuracy.lsp:valid.pck@0.2", "not measured", "at least 60"),
        ("licence.data", "unknown: there is no receipt", "Apache-2.0"),
    ]
    assert strict.get("/models/glow").json()["promotions"] == before


def test_force_takes_a_reason_and_is_logged_with_the_numbers(strict: TestClient) -> None:
    """Somebody took it upon himself: he is named with what he passed over."""
    path = "/models/glow/versions/1/promote"
    silent = strict.post(path, json={"force": True, "reason": " "})
    forced = strict.post(path, json={"force": True, "reason": "the camera changed"})

    assert silent.status_code == 422
    assert silent.json()["errors"][0]["where"] == "reason"
    assert forced.status_code == 200
    line = strict.get("/models/glow").json()["promotions"][0]
    assert (line["why"], line["action"]) == ("the camera changed", "promote")
    assert (line["gate"]["passed"], line["gate"]["forced"]) == (False, True)
    assert line["gate"]["checks"][0] == {
        "what": "accuracy.lsp:valid.pck@0.2",
        "found": "not measured",
        "demanded": "at least 60",
        "passed": False,
    }


def test_a_rollback_is_logged_and_answers_at_once(
    client: TestClient, add_student: Callable[[str, float], int]
) -> None:
    """To the version before; one model that is not in production has none."""
    client.post("/models/glow/versions/1/promote")
    version = add_student("branch1", 2.0)
    client.post(f"/models/glow/versions/{version}/promote")

    back = client.post("/models/glow/rollback", json={"reason": "wrists jump"})

    assert back.status_code == 200
    assert (back.json()["version"], back.json()["action"]) == (1, "rollback")
    assert client.get("/readyz").json()["model"]["version"] == 1
    assert client.get("/models/glow").json()["promotions"][0]["why"] == "wrists jump"
    refused = client.post("/models/okdhp/rollback")
    assert refused.json()["type"] == "urn:okdhp:problem:rollback-impossible"
    assert client.post("/models/nobody/rollback").status_code == 404


def test_a_version_is_loaded_beside_and_freed_again(
    client: TestClient, add_student: Callable[[str, float], int]
) -> None:
    """But never the one that answers by default."""
    version = add_student("branch1", 3.0)
    path = f"/models/glow/versions/{version}"
    production = client.get("/models").json()["production"]["version"]

    assert client.post(f"{path}/load").json()["loaded"]
    assert client.get("/models/glow").json()["versions"][0]["loaded"]
    assert not client.post(f"{path}/unload").json()["loaded"]
    assert client.post(f"{path}/unload").status_code == 200
    refused = client.post(f"/models/glow/versions/{production}/unload")
    assert (refused.status_code, refused.json()["type"]) == (
        409,
        "urn:okdhp:problem:model-in-production",
    )
    assert client.post("/models/glow/versions/999/unload").status_code == 404


def test_every_branch_that_a_job_left_can_be_registered(
    client: TestClient, stores: Stores, brightest: Path, tmp_path: Path
) -> None:
    """With its receipt, and once; the job itself registers only its best."""
    job_id = stores.jobs.add("distill", {}, {})[0].id
    posted = {"job": job_id, "branch": "branch0"}
    early = client.post("/models/hall/versions", json=posted)
    file = tmp_path / "branch0.onnx"
    file.write_bytes(brightest.read_bytes())
    write_receipt(beside(file), appraise(file, []))
    claim = stores.jobs.claim(job_id, "worker")
    for path in (file, beside(file)):
        name = path.name
        stored = stores.artifacts.put(path, f"jobs/{job_id}/{name}")
        stores.jobs.add_artifact(claim, name, stored.key, stored.bytes, stored.sha256)
    for state in (State.RUNNING, State.EVALUATING):
        stores.jobs.move(claim, state, "")
    best = read_card(file) | {"branch": "branch1"}
    stores.jobs.succeed(claim, stores.registry.prepare("hall", file, best, {}, job_id))

    made = client.post("/models/hall/versions", json=posted)
    again = client.post("/models/hall/versions", json=posted)

    assert early.status_code == 409
    assert made.status_code == 201
    assert again.json() == made.json()
    assert made.json()["version"] == 2
    assert (made.json()["job"], made.json()["branch"]) == (job_id, "branch0")
    assert made.json()["siblings"] == [1]
    assert made.json()["has_receipt"]
    assert made.json()["sha256"] == sha256_of(file)
    missing = client.post("/models/hall/versions", json=posted | {"branch": "x"})
    assert missing.status_code == 404
    assert "there are: branch0" in missing.json()["detail"]

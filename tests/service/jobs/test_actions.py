"""Stop, resume, retry and delete over HTTP; here the test itself is the worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update

from service.settings import ServiceSettings
from worker import retention
from worker.store import Claim, Job, State
from worker.store.retention import give_up
from worker.stores import Stores, open_stores

TINY = {"kind": "distill", "config": {"preset": "tiny", "training": {"epochs": 3}}}
EVALUATE = {"kind": "evaluate", "config": {"data": {"format": "synthetic", "people": 4}}}
ANY = "00000000-0000-7000-8000-000000000000"


@pytest.fixture
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    """What a worker works with."""
    opened = open_stores(settings)
    yield opened
    opened.close()


def posted(client: TestClient, body: dict = TINY) -> str:
    return client.post("/jobs", json=body).json()["id"]


def take(stores: Stores, job_id: str, *, epochs: int = 0) -> Claim:
    """The job as a worker has it after so many epochs."""
    claim = stores.jobs.claim(job_id, "test:1")
    stores.jobs.move(claim, State.RUNNING, "")
    judged = {"branches": {"a": {"pck@0.2": 5.0}}}
    events = [{"seq": n, "kind": "epoch", "epoch": n, **judged} for n in range(1, epochs + 1)]
    stores.jobs.record(claim, events)
    return claim


def ended(client: TestClient, stores: Stores, *, epochs: int) -> str:
    job_id = posted(client)
    claim = take(stores, job_id, epochs=epochs)
    stores.jobs.move(claim, State.EVALUATING, "")
    stores.jobs.succeed(claim)
    return job_id


def test_a_training_is_stopped_once_it_has_something_to_export(
    client: TestClient, stores: Stores
) -> None:
    """Before that the refusal says what else can be done."""
    job_id = posted(client)
    refused = client.post(f"/jobs/{job_id}/stop")
    take(stores, job_id, epochs=1)

    stopped = client.post(f"/jobs/{job_id}/stop")

    assert refused.status_code == 409
    assert refused.json()["detail"].endswith("there is nothing to export; possible actions: cancel")
    assert (stopped.status_code, stopped.json()["stop_requested"]) == (200, True)


def test_what_does_not_train_cannot_be_stopped(client: TestClient) -> None:
    """And the refusal says that it is the kind."""
    refused = client.post(f"/jobs/{posted(client, EVALUATE)}/stop")

    assert refused.status_code == 409
    assert (
        "a job of kind evaluate cannot end early; possible actions: cancel"
        in (refused.json()["detail"])
    )


def test_a_job_that_succeeded_is_resumed_with_more_epochs(
    client: TestClient, stores: Stores
) -> None:
    """The same job; what was posted stays as it was."""
    job_id = ended(client, stores, epochs=3)
    for body in ({}, {"epochs": 3}, {"epochs": 0}):
        refused = client.post(f"/jobs/{job_id}/resume", json=body)
        assert refused.status_code == 422
        assert "epochs" in refused.json()["errors"][0]["where"]

    job = client.post(f"/jobs/{job_id}/resume", json={"epochs": 5}).json()

    assert (job["id"], job["state"]) == (job_id, "queued")
    assert job["resolved"]["training"]["epochs"] == 5
    assert job["config"] == TINY["config"]
    assert job["history"][-1]["reason"] == "resumed by the user, up to epoch 5"
    assert client.post(f"/jobs/{job_id}/resume", json={"epochs": 9}).status_code == 409


def test_a_stopped_job_is_resumed_without_a_word(client: TestClient, stores: Stores) -> None:
    """It has epochs left of those that it was posted with."""
    job_id = ended(client, stores, epochs=2)

    assert client.post(f"/jobs/{job_id}/resume").json()["state"] == "queued"


def test_only_a_training_has_epochs(client: TestClient) -> None:
    """A number that means nothing is not passed over."""
    job_id = posted(client, EVALUATE)
    client.post(f"/jobs/{job_id}/cancel")

    refused = client.post(f"/jobs/{job_id}/resume", json={"epochs": 3})

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["problem"] == "a job of kind evaluate has none"


def test_a_retry_is_a_new_job_that_names_the_old_one(client: TestClient, stores: Stores) -> None:
    """From the beginning, with the same configuration and limit."""
    job_id = posted(client, TINY | {"timeout_s": 60})
    assert client.post(f"/jobs/{job_id}/retry").status_code == 409
    stores.jobs.fail(take(stores, job_id, epochs=1), "NaN loss", "")

    response = client.post(f"/jobs/{job_id}/retry")

    job = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"/jobs/{job['id']}")
    assert job["id"] != job_id
    assert (job["retry_of"], job["state"], job["timeout_s"]) == (job_id, "queued", 60)
    assert (job["config"], job["metrics"]["history"]) == (TINY["config"], [])
    assert client.get(f"/jobs/{job_id}").json()["state"] == "failed"


def test_a_deleted_job_is_gone_with_its_files(
    client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    """From the list, the artifact store and the run folder; not while it works."""
    job_id = posted(client)
    assert client.delete(f"/jobs/{job_id}").status_code == 409
    claim = take(stores, job_id)
    file = tmp_path / "left"
    file.write_bytes(b"x")
    stored = stores.artifacts.put(file, f"jobs/{job_id}/a/b.png")
    stores.jobs.add_artifact(claim, "a/b.png", stored.key, stored.bytes, stored.sha256)
    run_dir = stores.settings.run_dir(job_id)
    (run_dir / "checkpoints").mkdir(parents=True)
    assert client.delete(f"/jobs/{job_id}").status_code == 409
    stores.jobs.fail(claim, "", "")

    response = client.delete(f"/jobs/{job_id}")

    assert (response.status_code, response.content) == (204, b"")
    assert client.get(f"/jobs/{job_id}").status_code == 404
    assert not run_dir.exists()
    assert not (stores.settings.home / "artifacts" / "jobs" / job_id).exists()


def test_a_job_that_a_model_came_from_is_deleted_only_when_told(
    client: TestClient, stores: Stores, brightest: Path
) -> None:
    """The model stays, and answers as before."""
    job_id = ended(client, stores, epochs=1)
    stores.registry.add_version("kept", brightest, {"branch": "a"}, {}, job_id)

    refused = client.delete(f"/jobs/{job_id}")

    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:okdhp:problem:job-in-use"
    assert "model kept:1" in refused.json()["detail"]
    assert client.delete(f"/jobs/{job_id}", params={"force": True}).status_code == 204
    assert stores.registry.get("kept", 1).job_id is None
    assert stores.registry.open_local("kept", 1).exists()


def test_files_that_were_pruned_are_told_so(
    client: TestClient, stores: Stores, tmp_path: Path
) -> None:
    """They were there: 410, and the job shows since when they are not."""
    job_id = posted(client)
    claim = take(stores, job_id)
    (tmp_path / "left").write_bytes(b"x")
    stored = stores.artifacts.put(tmp_path / "left", f"jobs/{job_id}/a.png")
    stores.jobs.add_artifact(claim, "a.png", stored.key, stored.bytes, stored.sha256)
    stores.jobs.fail(claim, "NaN loss", "")
    assert client.get(f"/jobs/{job_id}").json()["pruned_at"] is None
    give_up(stores.database, job_id)

    retention.sweep(stores)

    job = client.get(f"/jobs/{job_id}").json()
    assert (job["artifacts"], job["actions"]) == ([], ["retry", "delete"])
    assert job["pruned_at"] is not None
    gone = client.get(f"/jobs/{job_id}/artifacts/a.png")
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:okdhp:problem:artifact-gone")
    refused = client.post(f"/jobs/{job_id}/resume")
    assert refused.status_code == 409
    assert "its files were pruned; possible actions: retry, delete" in refused.json()["detail"]


@pytest.mark.parametrize("action", ["stop", "resume", "retry"])
def test_an_unknown_job_cannot_be_acted_on(client: TestClient, action: str) -> None:
    """404, whatever is asked."""
    assert client.post(f"/jobs/{ANY}/{action}").status_code == 404
    assert client.delete(f"/jobs/{ANY}").status_code == 404


@pytest.mark.parametrize("timeout_s", [0, -1, 1e12, "x"])
def test_a_time_limit_is_a_time(client: TestClient, timeout_s: object) -> None:
    """No limit is to leave it out."""
    response = client.post("/jobs", json=TINY | {"timeout_s": timeout_s})

    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == "timeout_s"


def test_a_job_of_an_older_program_is_shown_and_refused_clearly(
    client: TestClient, stores: Stores
) -> None:
    """Its configuration means nothing any more, its progress has other fields."""
    job_id = posted(client)
    stores.jobs.fail(take(stores, job_id), "bad data", "")
    odd = {"trainig": {"epochs": "many"}, "data": None}
    with stores.database.writing() as session:
        row = update(Job).where(Job.id == job_id)
        session.execute(row.values(config=odd, resolved=odd, progress={"percent": 3}))

    shown = client.get(f"/jobs/{job_id}")
    listed = client.get("/jobs").json()["jobs"]

    assert (shown.status_code, shown.json()["config"]) == (200, odd)
    assert shown.json()["progress"] is None
    assert job_id in [job["id"] for job in listed]
    for action in ("resume", "retry"):
        refused = client.post(f"/jobs/{job_id}/{action}")
        assert refused.status_code == 422
        assert "config.trainig" in [fault["where"] for fault in refused.json()["errors"]]
    with stores.database.writing() as session:
        session.execute(update(Job).where(Job.id == job_id).values(kind="distil"))
    assert client.get(f"/jobs/{job_id}").status_code == 200
    assert client.post(f"/jobs/{job_id}/resume").status_code == 422

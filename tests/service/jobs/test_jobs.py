"""/jobs: posted, listed, followed and cancelled; here the test itself is the worker."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from model.config import load_config
from service.app import create_app
from service.settings import ServiceSettings
from worker.store import Claim, State
from worker.stores import Stores, open_stores

TINY = {"kind": "distill", "config": {"preset": "tiny"}}


@pytest.fixture
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    """What a worker works with."""
    opened = open_stores(settings)
    yield opened
    opened.close()


def take(stores: Stores, job_id: str) -> Claim:
    return stores.jobs.claim(job_id, "test:1")


def event(seq: int, kind: str, **values: Any) -> dict[str, Any]:
    return {"seq": seq, "time": 0.0, "kind": kind, **values}


def run(stores: Stores, claim: Claim) -> None:
    """Two epochs, as a supervisor would store them."""
    stores.jobs.move(claim, State.RUNNING, "started")
    loss = {"total": 3.0, "label": 2.0, "ensemble": 0.5, "distill": 0.5}
    for epoch in (1, 2):
        stores.jobs.record(
            claim,
            [
                event(
                    2 * epoch - 1,
                    "progress",
                    epoch=epoch,
                    epochs=2,
                    step=32 * epoch,
                    steps=64,
                    loss=loss,
                    images_per_s=80.5,
                    seconds_left=12.0,
                ),
                event(
                    2 * epoch,
                    "epoch",
                    epoch=epoch,
                    loss=loss,
                    branches={"branch0": {"pck@0.2": 10.0 * epoch}, "branch1": {"pck@0.2": 5.0}},
                    ensemble={"pck@0.2": 12.0 * epoch},
                    lr=0.001,
                    images_per_s=80.5,
                    seconds=1.0,
                ),
            ],
        )


def leave(stores: Stores, claim: Claim, name: str, content: bytes, folder: Path) -> None:
    """An artifact, as a supervisor would upload it."""
    file = folder / "left"
    file.write_bytes(content)
    stored = stores.artifacts.put(file, f"jobs/{claim.job_id}/{name}")
    stores.jobs.add_artifact(claim, name, stored.key, stored.bytes, stored.sha256)


def test_a_preset_is_enough_for_a_job(client: TestClient) -> None:
    """The shortest thing that a person can post."""
    response = client.post("/jobs", json=TINY)

    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/jobs/{job['id']}"
    assert (job["kind"], job["state"]) == ("distill", "queued")
    assert client.get(response.headers["location"]).json() == job


def test_a_job_tells_all_that_it_will_do(client: TestClient) -> None:
    """What was posted, and every default beside it."""
    job = client.post("/jobs", json=TINY).json()

    assert job["config"] == TINY["config"]
    assert job["resolved"] == load_config(TINY["config"]).model_dump(mode="json")
    assert [step["new"] for step in job["history"]] == ["queued"]
    assert job["actions"] == ["cancel"]
    assert job["metrics"] == {"latest": None, "best": None, "history": []}


def test_the_broker_may_be_away(client: TestClient, stores: Stores) -> None:
    """The job is written; a worker announces it later."""
    job = client.post("/jobs", json=TINY).json()

    assert job["id"] in stores.jobs.unannounced()


def test_a_repeated_post_is_the_same_job(client: TestClient) -> None:
    """A client that lost the answer asks again without fear of a second training."""
    key = {"Idempotency-Key": "monday's run"}

    shorter = {"kind": "distill", "config": {"preset": "tiny", "training": {"epochs": 2}}}
    first = client.post("/jobs", json=TINY, headers=key)
    again = client.post("/jobs", json=TINY, headers=key)
    other = client.post("/jobs", json=shorter, headers=key)

    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json()["id"] == first.json()["id"]
    assert other.status_code == 409
    assert other.json()["type"] == "urn:okdhp:problem:idempotency-conflict"
    for odd in ("", "k" * 201):
        response = client.post("/jobs", json=TINY, headers={"Idempotency-Key": odd})
        assert response.status_code == 422


def test_a_job_shows_how_far_it_is(client: TestClient, stores: Stores) -> None:
    """Progress, and one entry an epoch."""
    job_id = client.post("/jobs", json=TINY).json()["id"]
    claim = take(stores, job_id)
    run(stores, claim)

    job = client.get(f"/jobs/{job_id}").json()

    assert (job["state"], job["worker"], job["attempt"]) == ("running", "test:1", 1)
    assert job["progress"]["epoch"] == 2
    assert job["progress"]["step"] == 64
    assert job["progress"]["images_per_s"] == 80.5
    assert job["progress"]["seconds_left"] == 12.0
    history = job["metrics"]["history"]
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert history[0]["loss"]["label"] == 2.0
    assert history[1]["branches"]["branch0"] == {"pck@0.2": 20.0}
    assert history[1]["ensemble"] == {"pck@0.2": 24.0}
    assert job["metrics"]["latest"] == history[1]
    assert job["metrics"]["best"]["branch"] == "branch0"
    assert [step["new"] for step in job["history"]] == ["queued", "starting", "running"]


def test_a_failed_job_says_what_a_person_can_do(client: TestClient, stores: Stores) -> None:
    """Reason, message and the last lines of its log."""
    job_id = client.post("/jobs", json=TINY).json()["id"]
    stores.jobs.fail(take(stores, job_id), "out of memory", "try batch_size 16", ["line 1"])

    job = client.get(f"/jobs/{job_id}").json()

    assert job["state"] == "failed"
    assert job["error"] == {
        "reason": "out of memory",
        "message": "try batch_size 16",
        "log": ["line 1"],
    }
    assert job["actions"] == ["resume", "retry", "delete"]


def test_files_are_listed_and_fetched(client: TestClient, stores: Stores, tmp_path: Path) -> None:
    """With their size, their digest and their kind."""
    job_id = client.post("/jobs", json=TINY).json()["id"]
    claim = take(stores, job_id)
    content = bytes(range(256)) * 4000
    leave(stores, claim, "students/branch0.onnx", content, tmp_path)
    leave(stores, claim, "curves.png", b"picture", tmp_path)

    listed = client.get(f"/jobs/{job_id}/artifacts").json()["artifacts"]
    entry = listed[1]
    response = client.get(entry["url"])

    assert listed == client.get(f"/jobs/{job_id}").json()["artifacts"]
    assert entry["name"] == "students/branch0.onnx"
    assert entry["bytes"] == len(content)
    assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert response.content == content
    assert response.headers["content-length"] == str(len(content))
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["etag"] == f'"{entry["sha256"]}"'
    assert client.get(listed[0]["url"]).headers["content-type"] == "image/png"
    known = client.get(entry["url"], headers={"If-None-Match": response.headers["etag"]})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    ["nothing.png", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "%00", "%ff"],
)
def test_names_that_are_no_artifacts_are_404(client: TestClient, name: str) -> None:
    """A name is looked up among the job's own files and never becomes a path."""
    job_id = client.post("/jobs", json=TINY).json()["id"]

    response = client.get(f"/jobs/{job_id}/artifacts/{name}")

    assert response.status_code == 404
    assert response.json()["type"] == "urn:okdhp:problem:artifact-unknown"


def test_a_file_that_is_gone_is_told_so(client: TestClient, stores: Stores, tmp_path: Path) -> None:
    """Somebody tidied the store up by hand."""
    job_id = client.post("/jobs", json=TINY).json()["id"]
    leave(stores, take(stores, job_id), "metrics.json", b"{}", tmp_path)
    stores.artifacts.fetch(
        f"jobs/{job_id}/metrics.json", hashlib.sha256(b"{}").hexdigest()
    ).unlink()

    response = client.get(f"/jobs/{job_id}/artifacts/metrics.json")

    assert response.status_code == 410
    assert str(stores.settings.home) not in response.text


def test_cancelling(client: TestClient, stores: Stores) -> None:
    """A queued job ends at once, a running one is asked to, and one that has ended refuses."""
    queued = client.post("/jobs", json=TINY).json()["id"]
    running = client.post("/jobs", json=TINY).json()["id"]
    claim = take(stores, running)

    assert client.post(f"/jobs/{queued}/cancel").json()["state"] == "cancelled"
    asked = client.post(f"/jobs/{running}/cancel").json()
    assert (asked["state"], asked["cancel_requested"]) == ("starting", True)
    assert stores.jobs.renew(claim).cancel
    again = client.post(f"/jobs/{queued}/cancel")
    assert again.status_code == 409
    assert "it is cancelled" in again.json()["detail"]


def test_jobs_are_listed_page_by_page_with_filters(client: TestClient, stores: Stores) -> None:
    """Newest first, each once, though new ones come while somebody turns the pages."""
    ids = [client.post("/jobs", json=TINY).json()["id"] for _ in range(5)]
    client.post(f"/jobs/{ids[0]}/cancel")

    first = client.get("/jobs", params={"limit": 3}).json()
    client.post("/jobs", json=TINY)
    second = client.get("/jobs", params={"limit": 3, "cursor": first["next"]}).json()

    assert [job["id"] for job in first["jobs"]] == ids[:1:-1]
    assert [job["id"] for job in second["jobs"]][:2] == [ids[1], ids[0]]
    cancelled = client.get("/jobs", params={"state": "cancelled"}).json()["jobs"]
    assert ids[0] in [job["id"] for job in cancelled]
    assert {job["state"] for job in cancelled} == {"cancelled"}
    assert client.get("/jobs", params={"kind": "evaluate"}).json() == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1000", "limit=x", "cursor=x", "state=sleeping", "kind=" + "k" * 99]
)
def test_wrong_filters_are_refused(client: TestClient, query: str) -> None:
    """A filter that is passed over shows what was not asked for."""
    response = client.get(f"/jobs?{query}")

    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == f"query.{query.partition('=')[0]}"


@pytest.mark.parametrize("job_id", ["unknown", "00000000-0000-0000-0000-000000000000", "%00"])
@pytest.mark.parametrize(
    ("method", "below"),
    [("GET", ""), ("POST", "/cancel"), ("GET", "/artifacts"), ("GET", "/artifacts/a.onnx")],
)
def test_an_unknown_job_is_404(client: TestClient, method: str, below: str, job_id: str) -> None:
    """Also where a list of nothing would do."""
    response = client.request(method, f"/jobs/{job_id}{below}")

    assert response.status_code == 404
    assert response.json()["type"] == "urn:okdhp:problem:job-unknown"


def test_without_a_worker_a_waiting_job_says_so(settings: ServiceSettings) -> None:
    """A job that waits for ever in silence is what people curse."""
    with TestClient(create_app(settings, no_worker="no worker runs here")) as client:
        job = client.post("/jobs", json=TINY).json()

    assert (job["state"], job["notice"]) == ("queued", "no worker runs here")


def test_a_job_shows_its_priority_and_what_it_needs(client: TestClient, stores: Stores) -> None:
    """By default those of its kind; and what keeps it from a device, once a worker has found it."""
    usual = client.post("/jobs", json=TINY).json()
    asked = client.post("/jobs", json={**TINY, "priority": 9, "needs": "gpu"}).json()
    stores.jobs.hold_up(asked["id"], "waits for cuda:0: of its memory 1.0 of 79.6 GiB are free")

    assert (usual["priority"], usual["needs"], usual["notice"]) == (5, "any", None)
    listed = client.get("/jobs").json()["jobs"][0]
    assert (listed["id"], listed["priority"], listed["needs"]) == (asked["id"], 9, "gpu")
    assert listed["notice"] == "waits for cuda:0: of its memory 1.0 of 79.6 GiB are free"


@pytest.mark.parametrize("wrong", [{"priority": 10}, {"priority": -1}, {"needs": "tpu"}])
def test_a_priority_or_need_that_is_none_is_refused(client: TestClient, wrong: dict) -> None:
    """By its name, with what is accepted."""
    refused = client.post("/jobs", json=TINY | wrong)

    assert refused.status_code == 422
    assert refused.json()["errors"][0]["where"] == next(iter(wrong))


def test_a_callback_goes_only_where_the_operator_allows(
    settings: ServiceSettings, stores: Stores
) -> None:
    """Others are refused when the job is posted, not when it has ended."""
    allowed = settings.model_copy(update={"callback_hosts": ("hooks.example",)})
    with TestClient(create_app(allowed)) as client:
        posted = client.post("/jobs", json={**TINY, "callback_url": "https://hooks.example/a"})
        refused = client.post("/jobs", json={**TINY, "callback_url": "http://127.0.0.1:1/"})

    assert stores.jobs.get(posted.json()["id"]).callback_url == "https://hooks.example/a"
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["where"] == "callback_url"
    assert refused.json()["errors"][0]["accepted"] == "hooks.example"

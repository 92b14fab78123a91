"""A comparison over HTTP: one post, many jobs, each seen from the other."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.settings import ServiceSettings
from worker.store import State
from worker.stores import Stores, open_stores

CONFIG: dict[str, Any] = {
    "config": {"preset": "tiny"},
    "schemes": ["none", "okdhp"],
    "seeds": 2,
    "report": [{"format": "synthetic", "people": 20, "seed": 3}],
}
COMPARE = {"kind": "compare", "config": CONFIG}
CELLS = [f"{row}-s{seed}" for seed in (0, 1) for row in ("none", "okdhp", "alone")]


@pytest.fixture
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    opened = open_stores(settings)
    yield opened
    opened.close()


def test_a_comparison_shows_its_runs_and_they_show_it(client: TestClient) -> None:
    """A person looks from either side."""
    job = client.post("/jobs", json=COMPARE).json()

    assert [child["name"] for child in job["children"]] == CELLS
    assert {child["state"] for child in job["children"]} == {"queued"}
    assert (job["state"], job["parent"]) == ("queued", None)
    assert job["notice"] == "waits for 6 of 6 jobs"
    child = client.get(job["children"][1]["url"]).json()
    assert (child["kind"], child["parent"], child["children"]) == ("distill", job["id"], [])
    assert child["resolved"]["scheme"]["name"] == "okdhp"
    assert child["resolved"]["training"]["seed"] == 0
    assert child["resolved"]["export"]["branch"] == "all"


def test_what_a_comparison_is_asked_for_its_runs_are(client: TestClient, stores: Stores) -> None:
    """They train; it only gathers, on any CPU. A repeated one is asked the same."""
    job = client.post("/jobs", json={**COMPARE, "priority": 7, "needs": "gpu"}).json()
    usual = client.post("/jobs", json=COMPARE).json()
    client.post(f"/jobs/{job['id']}/cancel")
    again = client.post(f"/jobs/{job['id']}/retry").json()

    def asked(shown: dict) -> set[tuple[int, str]]:
        return {(part.priority, str(part.needs)) for part in stores.jobs.parts(shown["id"])}

    assert [(shown["priority"], shown["needs"]) for shown in (job, usual, again)] == [
        (7, "cpu"), (5, "cpu"), (7, "cpu"),
    ]  # fmt: skip
    assert [asked(shown) for shown in (job, usual, again)] == [
        {(7, "gpu")}, {(5, "any")}, {(7, "gpu")},
    ]  # fmt: skip


def test_it_says_how_many_runs_it_still_waits_for(client: TestClient, stores: Stores) -> None:
    """In the list as well; without a notice once it only waits for a worker."""
    job = client.post("/jobs", json=COMPARE).json()
    ids = [child["id"] for child in job["children"]]
    for child in ids[:5]:
        client.post(f"/jobs/{child}/cancel")

    listed = client.get("/jobs", params={"kind": "compare"}).json()["jobs"][0]
    assert listed["notice"] == "waits for 1 of 6 jobs"

    stores.jobs.fail(stores.jobs.claim(ids[5], "test:1"), "NaN loss", "at step 7")
    shown = client.get(f"/jobs/{job['id']}").json()
    assert shown["notice"] is None
    assert [child["state"] for child in shown["children"]] == ["cancelled"] * 5 + ["failed"]


def test_a_cancelled_comparison_cancels_its_runs(client: TestClient) -> None:
    """Nobody wants twelve clicks."""
    job = client.post("/jobs", json=COMPARE).json()

    cancelled = client.post(f"/jobs/{job['id']}/cancel").json()

    assert cancelled["state"] == "cancelled"
    assert {child["state"] for child in cancelled["children"]} == {State.CANCELLED}


def test_a_repeated_post_is_the_same_comparison(client: TestClient) -> None:
    """And adds no second set of runs."""
    key = {"Idempotency-Key": "the table of Monday"}

    first = client.post("/jobs", json=COMPARE, headers=key).json()
    again = client.post("/jobs", json=COMPARE, headers=key).json()

    assert again["children"] == first["children"]


@pytest.mark.parametrize(
    ("change", "where", "problem"),
    [
        ({"report": [{"format": "synthetic", "seed": 2}]}, "config.report[0]", "shares people"),
        ({"report": []}, "config.report", "found []"),
        ({"schemes": ["okdhq"]}, "config.okdhq.scheme.name", "found 'okdhq'"),
        ({"schemes": []}, "config", "needs `schemes` or `variants`"),
        ({"seeds": 0}, "config.seeds", "found 0"),
        (
            {"config": {"preset": "tiny", "training": {"epoch": 3}}},
            "config.config.training.epoch",
            "unknown key",
        ),
        ({"report": [{"format": "lsp", "path": "/etc"}]}, "config.report[0].path", "a path"),
        ({"report": [{"dataset": "lsb"}]}, "config", "there is no data set 'lsb'"),
        ({"budget": "device_time"}, "config", "needs `device_minutes`"),
    ],
)
def test_what_cannot_be_compared_is_refused_and_not_written(
    client: TestClient, change: dict[str, Any], where: str, problem: str
) -> None:
    """At once, with the key's path, before twelve jobs fail one after another."""
    before = client.get("/jobs").json()

    response = client.post("/jobs", json={"kind": "compare", "config": CONFIG | change})

    assert response.status_code == 422, response.text
    fault = response.json()["errors"][0]
    assert fault["where"] == where
    assert problem in fault["problem"]
    assert client.get("/jobs").json() == before

"""Configurations are checked whole before a job exists: each fault with its path and remedy."""

from typing import Any

import pytest
from fastapi.testclient import TestClient

from worker.jobs import KINDS


def post(client: TestClient, config: dict[str, Any], kind: str = "distill") -> list[dict[str, str]]:
    """The faults of a refused configuration."""
    response = client.post("/jobs", json={"kind": kind, "config": config})
    assert response.status_code == 422, response.text
    assert response.json()["type"] == "urn:okdhp:problem:config-invalid"
    faults: list[dict[str, str]] = response.json()["errors"]
    return faults


def test_an_unknown_key_is_told_the_right_one(client: TestClient) -> None:
    """`training.lr` is where everybody looks first."""
    faults = post(client, {"preset": "tiny", "training": {"epoch": 3, "lr": 1}})

    assert [(f["where"], f["nearest"]) for f in faults] == [
        ("config.training.epoch", "config.training.epochs"),
        ("config.training.lr", "config.optim.lr"),
    ]
    assert "batch_size" in faults[0]["accepted"]


@pytest.mark.parametrize(
    ("config", "where"),
    [
        ({"preset": "tiny", "training": {"epochs": 0}}, "config.training.epochs"),
        ({"preset": "tiny", "training": {"epochs": "many"}}, "config.training.epochs"),
        ({"preset": "tiny", "training": 3}, "config.training"),
        ({"preset": "tiny", "optim": {"lr": -1}}, "config.optim.lr"),
        ({"preset": "tiny", "network": {"branches": []}}, "config.network.branches"),
        ({"preset": "tiny", "scheme": {"name": "magic"}}, "config.scheme.name"),
        ({"preset": "tiny", "data": {"crop_px": [100, 100]}}, "config"),
        ({"preset": "tiny", "data": {"train": [{}]}}, "config.data.train[0]"),
        ({"preset": "tiny", "export": {"name": "../up"}}, "config.export.name"),
        ({"preset": "huge"}, "config.preset"),
        ({"preset": ["tiny"]}, "config.preset"),
        ({}, "config.data"),
    ],
)
def test_impossible_values_are_refused_with_their_path(
    client: TestClient, config: dict[str, Any], where: str
) -> None:
    """And with what would be accepted."""
    faults = post(client, config)

    assert where in [fault["where"] for fault in faults]


def test_a_path_of_the_server_is_refused(client: TestClient) -> None:
    """Whoever may post jobs may not look round the server's disk."""
    faults = post(
        client, {"preset": "tiny", "data": {"train": [{"format": "lsp", "path": "/etc"}]}}
    )

    assert faults[0]["where"] == "config.data.train[0].path"
    assert "`dataset`" in faults[0]["accepted"]


def test_an_unknown_data_set_is_told_the_known_ones(client: TestClient) -> None:
    """A 404 would speak of the address."""
    config = {"preset": "tiny", "data": {"valid": [{"dataset": "lsb", "split": "valid"}]}}

    faults = post(client, config)

    assert "there is no data set 'lsb'; there are: none" in faults[0]["problem"]


def test_an_evaluation_of_an_unknown_model_is_refused(client: TestClient) -> None:
    """At once, not when a worker gets to it."""
    config = {"model": "nobody", "data": {"format": "synthetic", "people": 4}}

    assert "nobody" in post(client, config, kind="evaluate")[0]["problem"]


def test_an_evaluation_is_checked_as_a_training_is(client: TestClient) -> None:
    """The same words for the same mistakes."""
    faults = post(client, {"modle": "glow", "data": {"format": "synthetic"}}, kind="evaluate")

    assert (faults[0]["where"], faults[0]["nearest"]) == ("config.modle", "config.model")


def test_an_unknown_kind_is_told_the_known_ones(client: TestClient) -> None:
    """With the nearest."""
    response = client.post("/jobs", json={"kind": "destill", "config": {}})

    assert response.status_code == 422
    assert response.json()["errors"] == [
        {
            "where": "kind",
            "problem": "unknown job kind 'destill'",
            "accepted": ", ".join(sorted(KINDS)),
            "nearest": "distill",
        }
    ]


def test_nothing_is_written_for_a_refused_job(client: TestClient) -> None:
    """A list of jobs that never could run is of no use."""
    before = client.get("/jobs").json()
    post(client, {"preset": "huge"})

    assert client.get("/jobs").json() == before

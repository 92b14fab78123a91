"""A training that dies with its host is finished by another as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from model.config import load_config
from model.training.run import train
from worker.child import ordered_attempt
from worker.jobs import KINDS
from worker.process import group_lives
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores, open_stores
from worker.supervisor import Supervisor

CONFIG = {
    "preset": "tiny",
    "data": {
        "crop_px": [32, 32],
        "train": [{"format": "synthetic", "people": 8, "seed": 1}],
        "valid": [{"format": "synthetic", "people": 4, "seed": 2}],
    },
    "network": {"width": 8, "depth": 1},
    "training": {"epochs": 24, "batch_size": 4},
}
CLOCK = ("images_per_s", "seconds", "data_s")
WORKER = """
import sys
from worker.settings import WorkerSettings
from worker.stores import Stores, open_stores
from worker.supervisor import Supervisor
Supervisor(open_stores(WorkerSettings())).run(sys.argv[1])
"""


class Enough(Exception):
    """Of the twin only the training is of interest."""


def without_clock(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in entry.items() if k not in CLOCK} for entry in history]


def twin(folder: Path) -> list[dict[str, Any]]:
    """The epochs of a training that nobody disturbs."""
    told: list[dict[str, Any]] = []

    def listen(event: dict[str, Any]) -> None:
        if event["kind"] == "epoch":
            told.append({k: v for k, v in event.items() if k not in ("seq", "kind", "time")})
        elif event["kind"] == "evaluating":
            raise Enough

    with pytest.raises(Enough):
        train(load_config(CONFIG), folder, device="cpu", listen=listen)
    return without_clock(told)


@dataclass(frozen=True)
class TakenOver:
    """A job that one host began and another finished."""

    stores: Stores
    job_id: str
    before: int
    """Epochs that the first one told of."""


@pytest.fixture(scope="module")
def taken_over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TakenOver]:
    """They share database and artifacts, and nothing else; the first is killed at its work."""
    folder = tmp_path_factory.mktemp("hosts")
    home, first_runs = folder / "home", folder / "first"
    second_runs = folder / "second"
    stores = open_stores(WorkerSettings(home=home, runs_dir=second_runs))
    job_id = stores.jobs.add("distill", CONFIG, KINDS["distill"].resolve(CONFIG, stores))[0].id
    of_first = {
        "OKDHP_HOME": str(home),
        "OKDHP_RUNS_DIR": str(first_runs),
        "OKDHP_DEVICES": "cpu",
    }
    first = subprocess.Popen([sys.executable, "-c", WORKER, job_id], env=os.environ | of_first)
    until = time.monotonic() + 60
    while (job := stores.jobs.get(job_id)).checkpoint is None:
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.01)
    child = int((first_runs / job_id / "run.lock").read_text())
    first.send_signal(signal.SIGKILL)  # the kernel kills the child with it
    first.wait()
    while group_lives(child):
        time.sleep(0.01)
    before = len(stores.jobs.metrics(job)["history"])
    with stores.database.writing() as session:
        session.execute(update(Job).values(lease_expires_at=1.0))
    stores.jobs.reap("second")
    Supervisor(stores).run(job_id)
    yield TakenOver(stores, job_id, before)
    stores.close()


def test_a_killed_host_s_training_ends_on_another_with_its_undisturbed_twin_s_metrics(
    taken_over: TakenOver, tmp_path: Path
) -> None:
    """No epoch is missing, none is there twice, and none is different."""
    stores, job_id = taken_over.stores, taken_over.job_id
    job = stores.jobs.get(job_id)
    history = stores.jobs.metrics(job)["history"]
    run_dir = stores.settings.run_dir(job_id)

    assert job.state == State.SUCCEEDED, job.error
    assert 0 < taken_over.before < 24
    assert ordered_attempt(run_dir) == 2
    events = (run_dir / "events.jsonl").read_text().splitlines()
    started = next(event for event in map(json.loads, events) if event["kind"] == "started")
    assert 0 < started["epoch"] < 24, "it began anew"
    assert [entry["epoch"] for entry in history] == list(range(1, 25))
    assert without_clock(history) == twin(tmp_path)
    stored = sorted(stores.artifacts.keys(f"checkpoints/{job_id}"))
    assert job.checkpoint is not None
    assert stored == sorted(file["key"] for file in job.checkpoint["files"].values())
    assert not any(a.name.endswith("last.pt") for a in stores.jobs.artifacts(job_id))


def test_a_training_whose_data_set_is_gone_fails_with_bad_data(taken_over: TakenOver) -> None:
    """Somebody removed it while the job waited."""
    stores = taken_over.stores
    config = load_config(CONFIG).model_dump(mode="json")
    named = {"dataset": "gone", "split": "train", "format": None}
    config["data"]["train"] = [config["data"]["train"][0] | named]
    job = stores.jobs.add("distill", config, config)[0]

    Supervisor(stores).run(job.id)

    error = stores.jobs.get(job.id).error
    assert error is not None
    assert (error["reason"], "'gone'" in error["message"]) == ("bad data", True)

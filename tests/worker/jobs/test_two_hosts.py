"""A training that dies with its host is finished by another as if nothing had happened."""

import json
import os
import signal
import subprocess
import sys
import time
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
from worker.stores import open_stores
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
from worker.stores import open_stores
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


def test_a_killed_host_s_training_ends_on_another_with_its_undisturbed_twin_s_metrics(
    settings: WorkerSettings, tmp_path: Path
) -> None:
    """They share database and artifacts, and nothing else."""
    here = settings.model_copy(update={"runs_dir": tmp_path / "second", "device": "cpu"})
    stores = open_stores(here)
    job_id = stores.jobs.add("distill", CONFIG, KINDS["distill"].resolve(CONFIG, stores))[0].id
    environment = {
        "OKDHP_HOME": str(settings.home),
        "OKDHP_RUNS_DIR": str(tmp_path / "first"),
        "OKDHP_DEVICE": "cpu",
    }
    first = subprocess.Popen([sys.executable, "-c", WORKER, job_id], env=os.environ | environment)
    until = time.monotonic() + 60
    while (job := stores.jobs.get(job_id)).checkpoint is None:
        assert time.monotonic() < until and first.poll() is None
        time.sleep(0.01)
    child = int((tmp_path / "first" / job_id / "run.lock").read_text())
    first.send_signal(signal.SIGKILL)  # the kernel kills the child with it
    first.wait()
    while group_lives(child):
        time.sleep(0.01)
    before = len(stores.jobs.metrics(job)["history"])
    with stores.database.writing() as session:
        session.execute(update(Job).values(lease_expires_at=1.0))
    stores.jobs.reap("second")

    Supervisor(stores).run(job_id)

    job = stores.jobs.get(job_id)
    history = stores.jobs.metrics(job)["history"]
    assert job.state == State.SUCCEEDED, job.error
    assert 0 < before < 24
    assert ordered_attempt(here.run_dir(job_id)) == 2
    events = (here.run_dir(job_id) / "events.jsonl").read_text().splitlines()
    started = next(event for event in map(json.loads, events) if event["kind"] == "started")
    assert 0 < started["epoch"] < 24, "it began anew"
    assert [entry["epoch"] for entry in history] == list(range(1, 25))
    assert without_clock(history) == twin(tmp_path / "twin")
    stored = sorted(stores.artifacts.keys(f"checkpoints/{job_id}"))
    assert job.checkpoint is not None
    assert stored == sorted(file["key"] for file in job.checkpoint["files"].values())
    assert not any(a.name.endswith("last.pt") for a in stores.jobs.artifacts(job_id))
    stores.close()

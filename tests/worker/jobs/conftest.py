"""A distillation that has ended, which jobs of other kinds are about."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from worker.settings import WorkerSettings
from worker.store import Job
from worker.stores import Stores, open_stores
from worker.supervisor import Supervisor

SMALL: dict[str, Any] = {
    "preset": "tiny",
    "data": {
        "crop_px": [32, 32],
        "train": [{"format": "synthetic", "people": 8, "seed": 1}],
        "valid": [{"format": "synthetic", "people": 4, "seed": 2}],
    },
    "network": {"width": 8, "depth": 1},
    "training": {"epochs": 2, "batch_size": 4},
    "export": {"name": "small"},
}

RunJob = Callable[[str, dict[str, Any]], Job]


@pytest.fixture(scope="session")
def small() -> dict[str, Any]:
    """The distillation's configuration."""
    return SMALL


@pytest.fixture(scope="session")
def job_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """One home for the jobs that only read what others left."""
    home = tmp_path_factory.mktemp("jobs") / "home"
    opened = open_stores(WorkerSettings(home=home, data_dir=home.parent / "data"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def run_job(job_stores: Stores) -> RunJob:
    """Posts a job and does it, by the real supervisor and its child process."""

    def run(kind: str, config: dict[str, Any]) -> Job:
        supervisor = Supervisor(job_stores)
        resolved = supervisor.kinds[kind].resolve(config, job_stores)
        job, _ = job_stores.jobs.add(kind, config, resolved)
        supervisor.run(job.id)
        return job_stores.jobs.get(job.id)

    return run


@pytest.fixture(scope="session")
def distilled(run_job: RunJob) -> Job:
    """A distillation of two branches that has exported its best."""
    return run_job("distill", SMALL)

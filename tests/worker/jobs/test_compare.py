"""A comparison through the real supervisor and children, at the tiniest size."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from model.predictor import Predictor
from worker.announcer import Announcer
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores, open_stores
from worker.submission import submit
from worker.supervisor import Supervisor

COMPARISON = {
    "config": {
        "preset": "tiny",
        "data": {
            "crop_px": [32, 32],
            "train": [{"format": "synthetic", "people": 8, "seed": 1, "size_px": 64}],
            "valid": [{"format": "synthetic", "people": 4, "seed": 2, "size_px": 64}],
        },
        "network": {"width": 8, "depth": 1, "branches": [{"stacks": 1}]},
        "training": {"epochs": 1, "batch_size": 4},
        "export": {"name": "small"},
    },
    "schemes": ["none", "okdhp"],
    "seeds": 1,
    "report": [{"format": "synthetic", "people": 6, "seed": 3, "size_px": 64}],
}


class Bell(Announcer):
    """Notes who was announced; there is no broker."""

    def __init__(self, stores: Stores) -> None:
        self.rung: list[str] = []
        self._jobs = stores.jobs

    def announce(self, job_id: str) -> bool:
        self.rung.append(job_id)
        self._jobs.announced(job_id)
        return True


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    opened = open_stores(WorkerSettings(home=tmp_path_factory.mktemp("home")))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def bell(stores: Stores) -> Bell:
    return Bell(stores)


@pytest.fixture(scope="module")
def compared(stores: Stores, bell: Bell) -> Job:
    """A comparison of none, okdhp and alone, done by two workers; okdhp was cancelled."""
    job, _ = submit(stores, bell, "compare", COMPARISON)
    parts = stores.jobs.parts(job.id)
    assert bell.rung == [part.id for part in parts]
    stores.jobs.cancel(parts[1].id)
    workers = [
        threading.Thread(target=_work, args=[stores, f"worker{i}", part.id])
        for i, part in enumerate((parts[0], parts[2]))
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    # What a housekeeper does when it looks: the last part has ended, so the parent is told.
    bell.announce_waiting()
    assert bell.rung[-1] == job.id
    _work(stores, "worker0", job.id)
    return stores.jobs.get(job.id)


def _work(stores: Stores, name: str, job_id: str) -> None:
    settings = stores.settings.model_copy(update={"worker_name": name})
    Supervisor(replace(stores, settings=settings)).run(job_id)


def test_several_workers_share_the_runs(stores: Stores, compared: Job) -> None:
    """None of them is held by the comparison meanwhile."""
    none, _, alone = stores.jobs.parts(compared.id)

    assert [none.state, alone.state] == [State.SUCCEEDED] * 2, (none.error, alone.error)
    workers = {
        step.worker
        for part in (none, alone)
        for step in stores.jobs.history(part.id)
        if step.new == State.STARTING
    }
    assert workers == {"worker0", "worker1"}


def test_the_table_tells_what_is_there_and_what_is_missing(stores: Stores, compared: Job) -> None:
    """A cancelled run is a missing line, not a missing table."""
    assert compared.state == State.SUCCEEDED, compared.error
    assert compared.result is not None
    assert [line["row"] for line in compared.result["lines"]] == ["alone", "none"]
    missing = {c["name"]: c["missing"] for c in compared.result["cells"] if "missing" in c}
    assert list(missing) == ["okdhp-s0"]
    assert "is cancelled" in missing["okdhp-s0"]
    files = {a.name: a for a in stores.jobs.artifacts(compared.id)}
    assert {"comparison.json", "comparison.md", "bars.png", "curves.png", "winner.onnx"} <= set(
        files
    )
    with stores.artifacts.open(files["comparison.json"].key) as file:
        assert json.load(file) == compared.result
    with stores.artifacts.open(files["comparison.md"].key) as file:
        assert "| none |" in file.read().decode()


def test_the_winner_alone_is_registered(stores: Stores, compared: Job) -> None:
    """The runs register nothing: a registry of every seed of every scheme is of no use."""
    [model] = stores.registry.models()

    assert (model.name, [version.job_id for version in model.versions]) == ("small", [compared.id])
    assert compared.result is not None
    card = Predictor(stores.registry.open_local("small", 1)).card
    assert card.branch == compared.result["winner"]["branch"]
    gain = stores.registry.receipt("small", 1)["gain"]
    assert gain["source"] == f"comparison, job {compared.id}"
    assert gain["against"] in ("alone", "none")
    assert gain["data"] == "synthetic of seed 3"


def test_no_artifact_of_a_comparison_tells_a_path_of_the_server(
    stores: Stores, compared: Job
) -> None:
    """They are for everybody who may ask."""
    home = str(stores.settings.home).encode()
    for artifact in stores.jobs.artifacts(compared.id):
        with stores.artifacts.open(artifact.key) as file:
            assert home not in file.read(), artifact.name


def test_a_comparison_without_anything_to_compare_with_fails_and_says_so(
    stores: Stores, bell: Bell
) -> None:
    """A lone number is what this is there to avoid."""
    job, _ = submit(stores, bell, "compare", COMPARISON)
    none, okdhp, alone = stores.jobs.parts(job.id)
    stores.jobs.cancel(none.id)
    stores.jobs.cancel(okdhp.id)
    stores.jobs.fail(stores.jobs.claim(alone.id, "w"), "out of memory", "the process was killed")

    _work(stores, "worker0", job.id)

    failed = stores.jobs.get(job.id)
    assert failed.state == State.FAILED
    assert failed.error is not None
    assert failed.error["reason"] == "nothing to compare with"
    assert "0 of 3 rows are there" in failed.error["message"]
    assert "alone-s0: job" in failed.error["message"]
    assert "out of memory: the process was killed" in failed.error["message"]

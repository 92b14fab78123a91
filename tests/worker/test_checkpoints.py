"""What one host stores of a run and another goes on from: whole, the newest, and nothing beside."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.artifacts import ArtifactStore
from worker.checkpoints import CheckpointKeeper, place_checkpoint
from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores, open_stores
from worker.supervisor import Supervisor

sys.path.insert(0, str(Path(__file__).parent))
import pretend

STARTED = ["event", {"kind": "started"}]
RELEASED = ["exit", 75]


def saved(text: str, epoch: int) -> list[list]:
    """A checkpoint and the epoch that it is of."""
    return [
        ["file", "checkpoints/last.pt", text],
        ["event", {"kind": "epoch", "epoch": epoch}],
        ["event", {"kind": "checkpoint"}],
    ]


@pytest.fixture
def other(settings: WorkerSettings, tmp_path: Path) -> Iterator[Stores]:
    """Another host with the same database and artifacts."""
    opened = open_stores(settings.model_copy(update={"runs_dir": tmp_path / "other"}))
    yield opened
    opened.close()


def run(stores: Stores, job_id: str, *steps: list) -> Job:
    """The job after another attempt, on this host."""
    with stores.database.writing() as session:
        session.get_one(Job, job_id).resolved = {"do": list(steps)}
    Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND).run(job_id)
    return stores.jobs.get(job_id)


def last(stores: Stores, job_id: str) -> str:
    return (stores.settings.run_dir(job_id) / "checkpoints" / "last.pt").read_text()


def test_a_host_that_comes_back_to_a_job_goes_on_from_the_newest_checkpoint(
    stores: Stores, other: Stores
) -> None:
    """Its own folder is of an attempt before: to go on from there would lose the other's work."""
    job_id = stores.jobs.add("pretend", {}, {})[0].id
    assert run(stores, job_id, STARTED, *saved("of epoch 1", 1), RELEASED).state == State.QUEUED
    run(other, job_id, STARTED, *saved("of epoch 2", 2), RELEASED)

    job = run(stores, job_id, STARTED, *saved("of epoch 3", 3)[1:])

    assert (job.state, last(stores, job_id)) == (State.SUCCEEDED, "of epoch 2")
    assert [e["epoch"] for e in stores.jobs.metrics(job)["history"]] == [1, 2, 3]
    assert len(stores.artifacts.keys(f"checkpoints/{job_id}")) == 1


def test_a_host_that_was_the_last_trusts_its_own_folder(stores: Stores) -> None:
    """There is more in it than was stored: the events and checkpoint of the last moment."""
    job_id = stores.jobs.add("pretend", {}, {})[0].id
    run(stores, job_id, STARTED, *saved("stored", 1), RELEASED)
    (stores.settings.run_dir(job_id) / "checkpoints" / "last.pt").write_text("newer")

    run(stores, job_id, STARTED)

    assert last(stores, job_id) == "newer"


def test_a_checkpoint_that_is_gone_or_damaged_costs_time_and_not_the_job(
    stores: Stores, other: Stores
) -> None:
    """The run begins anew; its events go on being counted."""
    job_id = stores.jobs.add("pretend", {}, {})[0].id
    run(stores, job_id, STARTED, *saved("of epoch 1", 1), RELEASED)
    (key,) = stores.artifacts.keys(f"checkpoints/{job_id}")
    (stores.settings.home / "artifacts" / key).write_text("damaged")

    job = run(other, job_id, STARTED, *saved("anew", 1))

    assert (job.state, last(other, job_id)) == (State.SUCCEEDED, "anew")
    log = (other.settings.run_dir(job_id) / "events.jsonl").read_text().splitlines()
    assert '"message": "on another host the run begins anew"' in log[0]
    assert job.event_seq == len(log) + 3


def test_a_worker_that_woke_late_stores_no_checkpoint_over_a_newer_one(
    stores: Stores, tmp_path: Path
) -> None:
    """Nor does it remove what it does not know."""
    job_id = stores.jobs.add("pretend", {}, {})[0].id
    late = stores.jobs.claim(job_id, "late")
    stores.jobs.release(late, "")
    now = stores.jobs.claim(job_id, "now")
    for claim, text in ((now, "newer"), (late, "older")):
        folder = tmp_path / claim.worker
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "last.pt").write_text(text)
        CheckpointKeeper(stores.artifacts, stores.jobs, claim, folder).finish()

    checkpoint = stores.jobs.get(job_id).checkpoint
    assert checkpoint is not None
    assert place_checkpoint(stores.artifacts, checkpoint, tmp_path / "there")
    assert (tmp_path / "there" / "checkpoints" / "last.pt").read_text() == "newer"


def test_a_store_that_is_away_stops_no_training(stores: Stores, tmp_path: Path) -> None:
    """The checkpoint lies in the run folder all the same."""
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder is wanted")
    broken = ArtifactStore(f"file://{blocked}", tmp_path)
    job_id = stores.jobs.add("pretend", {}, {})[0].id
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last.pt").write_text("x")

    claim = stores.jobs.claim(job_id, "a")
    CheckpointKeeper(broken, stores.jobs, claim, tmp_path / "run").finish()

    assert stores.jobs.get(job_id).checkpoint is None

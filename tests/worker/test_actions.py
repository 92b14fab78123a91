"""What a person asks of a job reaches its processes: real children of a real supervisor."""

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import update

from worker.settings import WorkerSettings
from worker.store import Job, State
from worker.stores import Stores
from worker.supervisor import Supervisor

sys.path.insert(0, str(Path(__file__).parent))
import pretend

STARTED = ["event", {"kind": "started", "device": "cpu"}]
EPOCH = ["event", {"kind": "epoch", "epoch": 1, "branches": {"a": {"pck@0.2": 5.0}}}]
STOPPED = ["event", {"kind": "stopped", "epoch": 1}]
FINISHED = ["event", {"kind": "finished", "metrics": {"pck@0.2": 5.0}}]


@pytest.fixture
def supervisor(stores: Stores) -> Supervisor:
    return Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND)


def post(stores: Stores, *steps: list, timeout_s: float | None = None, **config: object) -> str:
    posted = {"do": list(steps), **config}
    return stores.jobs.add("pretend", posted, posted, timeout_s=timeout_s)[0].id


def eventually(what: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def after_an_epoch(supervisor: Supervisor, job_id: str) -> threading.Thread:
    """The supervisor at work on the job, whose first epoch is over."""
    thread = threading.Thread(target=supervisor.run, args=[job_id])
    thread.start()
    jobs = supervisor.stores.jobs
    eventually(lambda: jobs.metrics(jobs.get(job_id))["history"])
    return thread


def test_a_stopped_job_succeeds_and_its_history_says_when(
    supervisor: Supervisor, stores: Stores
) -> None:
    """The child is told by a file: TERM would have it save and end without a result."""
    job_id = post(stores, STARTED, EPOCH, ["await", "finish"], STOPPED, FINISHED)
    thread = after_an_epoch(supervisor, job_id)

    stores.jobs.stop(job_id)
    thread.join(20)

    assert stores.jobs.get(job_id).state == State.SUCCEEDED
    assert stores.jobs.history(job_id)[-1].reason == "stopped by the user after epoch 1"


def test_a_stop_is_told_to_the_next_worker_s_child(supervisor: Supervisor, stores: Stores) -> None:
    """The first worker may have ended before it heard of it."""
    job_id = post(stores, STARTED, EPOCH, ["wait"], resumed=[["await", "finish"], STOPPED])
    thread = after_an_epoch(supervisor, job_id)
    supervisor.drain()
    thread.join(20)
    assert stores.jobs.get(job_id).state == State.QUEUED

    stores.jobs.stop(job_id)
    supervisor.draining.clear()
    supervisor.run(job_id)

    assert stores.jobs.history(job_id)[-1].reason == "stopped by the user after epoch 1"


def test_a_stopped_job_that_is_resumed_is_not_told_to_stop_again(
    supervisor: Supervisor, stores: Stores, settings: WorkerSettings
) -> None:
    """The file of the first time would end it at once."""
    job_id = post(stores, STARTED, EPOCH, ["await", "finish"], STOPPED, resumed=[STARTED, FINISHED])
    thread = after_an_epoch(supervisor, job_id)
    stores.jobs.stop(job_id)
    thread.join(20)
    assert (settings.run_dir(job_id) / "finish").exists()

    stores.jobs.resume(job_id, stores.jobs.get(job_id).resolved, "resumed by the user")
    supervisor.run(job_id)

    assert not (settings.run_dir(job_id) / "finish").exists()
    assert [s.reason for s in stores.jobs.history(job_id)][-6:] == [
        "stopped by the user after epoch 1",
        "resumed by the user",
        "claimed for cpu",
        "its process is running",
        "its process is evaluating",
        "finished",
    ]


def test_a_job_that_works_too_long_is_ended_with_all_that_it_started(
    settings: WorkerSettings, stores: Stores
) -> None:
    """A stuck process hears no TERM; the reason is not the user's."""
    hasty = settings.model_copy(update={"cancel_grace_s": 0.2})
    object.__setattr__(stores, "settings", hasty)
    supervisor = Supervisor(stores, kinds=pretend.KINDS, child=pretend.COMMAND)
    steps = [["deaf"], ["spawn"], STARTED, ["print", "stuck\n"], ["sleep", 600]]
    job_id = post(stores, *steps, timeout_s=600.0)
    thread = threading.Thread(target=supervisor.run, args=[job_id])
    thread.start()
    log = settings.run_dir(job_id) / "log.txt"
    eventually(lambda: log.exists() and "stuck" in log.read_text())

    with stores.database.writing() as session:
        session.execute(update(Job).values(deadline_at=1.0))
    thread.join(20)

    job = stores.jobs.get(job_id)
    assert (job.state, job.error and job.error["reason"]) == (State.FAILED, "timeout")
    assert job.error is not None and job.error["log"][-1] == "stuck"
    assert stores.jobs.history(job_id)[-1].reason == "timeout"
    assert not pretend.lives(int((settings.run_dir(job_id) / "spawned").read_text()))

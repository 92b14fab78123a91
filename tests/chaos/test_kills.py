"""KILL to each part of a server, in each moment of a real training's life."""

from collections.abc import Callable
from typing import Any

import pytest
from case import Case
from installation import HASTY, Installation
from moments import MOMENTS, at
from processes import kill_child, kill_worker
from twin import Twin

from worker.store import State

IN_WORK = MOMENTS[1:]


@pytest.mark.parametrize("moment", IN_WORK)
def test_a_killed_child_fails_its_job_and_a_resume_goes_on_where_it_was(
    case: Case, config: dict[str, Any], twin: Twin, moment: str
) -> None:
    """Who killed it is not known: a person decides, and loses nothing."""
    installation = case.install()
    worker = installation.start_worker()
    job_id = installation.post(config)

    with at(moment, installation, job_id, worker.pid):
        installation.inject("child killed", lambda: kill_child(job_id))

    failed = installation.wait_for(job_id, State.FAILED, State.SUCCEEDED)
    assert failed.error is not None and failed.error["reason"] == "killed"
    installation.resume(job_id)
    installation.wait_for(job_id, State.SUCCEEDED)
    case.conclude("child killed", moment, {job_id: State.SUCCEEDED}, twin=twin)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_worker_s_job_is_finished_by_another(
    case: Case, config: dict[str, Any], twin: Twin, moment: str
) -> None:
    """Celery's pool is threads of the worker: there is no pool process to be killed apart from it.
    What waits behind the job in work is not lost either (`queued`)."""
    installation = case.install()
    worker = installation.start_worker("first")
    ids = [installation.post(config)]
    if moment == "queued":
        installation.wait_for(ids[0], State.RUNNING)
        ids.append(installation.post(config))

    with at(moment, installation, ids[-1], worker.pid):
        installation.inject("worker killed", lambda: kill_worker(worker, ids[0]), of=worker)
    installation.start_worker("second", wait=False)

    for job_id in ids:
        installation.wait_for(job_id, State.SUCCEEDED)
    expected = dict.fromkeys(ids, State.SUCCEEDED)
    case.conclude("worker killed", moment, expected, twin=twin)


@pytest.mark.parametrize("part", ["API", "broker", "PostgreSQL"])
def test_a_training_does_not_notice_that_what_is_around_it_is_killed(
    case: Case, config: dict[str, Any], twin: Twin, part: str
) -> None:
    """One job, the part killed and started again in every moment of its life."""
    patience = {**HASTY, "OKDHP_LOST_LIMIT": "10"}  # PostgreSQL may be away for longer than a lease
    installation = case.install(servers=part == "PostgreSQL", patience=patience)
    kill, start = _ways(installation, part)
    job_id = installation.post(config)
    worker = None
    for moment in MOMENTS:
        with at(moment, installation, job_id, worker.pid if worker else None):
            installation.inject(f"{part} killed", kill)
            if moment != "uploading":  # whose worker stands still: it would lose its lease
                start()
        if moment == "uploading":
            start()
        worker = worker or installation.start_worker()

    job = installation.wait_for(job_id, State.SUCCEEDED)

    assert job.attempt == 1 or part == "PostgreSQL"  # whose leases may run out meanwhile
    every = ", ".join(MOMENTS)
    case.conclude(f"{part} killed", every, {job_id: State.SUCCEEDED}, twin=twin)


def _ways(installation: Installation, part: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """How the part is killed, and how it is started again."""
    if part == "API":
        return lambda: installation.kill(installation.api), installation.start_api
    if part == "broker":
        return installation.kill_broker, installation.broker.start
    assert installation.postgres is not None
    return installation.postgres.kill, installation.postgres.start

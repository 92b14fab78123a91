"""One worker at a time: claims, leases, fencing and the reaper."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update

from worker.errors import ActionRefused, ClaimRefused, JobNotFound, LeaseLost
from worker.store import Claim, Database, Job, JobStore, State, Wishes

LEASE_S = 30.0
LOST_LIMIT = 3


def expire(database: Database, job_id: str) -> None:
    """What time does to a lease."""
    with database.writing() as session:
        session.execute(
            update(Job)
            .where(Job.id == job_id)
            .values(lease_expires_at=Job.lease_expires_at - LEASE_S - 1)
        )


def queued(jobs: JobStore) -> str:
    return jobs.add("distill", {}, {})[0].id


def test_of_many_claims_at_once_one_wins(jobs: JobStore) -> None:
    """The claim is one UPDATE that tests the state: the database lets one through."""
    job_id = queued(jobs)
    start = Barrier(8)

    def claim(worker: str) -> Claim | None:
        start.wait()
        try:
            return jobs.claim(job_id, worker)
        except ClaimRefused:
            return None

    with ThreadPoolExecutor(8) as threads:
        won = [c for c in threads.map(claim, "abcdefgh") if c is not None]

    assert len(won) == 1
    assert won[0].attempt == jobs.get(job_id).attempt == 1


def test_an_unknown_job_cannot_be_claimed(jobs: JobStore) -> None:
    """A message may outlive its job."""
    with pytest.raises(JobNotFound, match="there is no job 'nobody'"):
        jobs.claim("nobody", "a")


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled", "running"])
def test_a_job_that_is_not_queued_cannot_be_claimed(jobs: JobStore, end: str) -> None:
    """A message that comes twice finds its job taken or ended."""
    job_id = queued(jobs)
    claim = jobs.claim(job_id, "a")
    jobs.move(claim, State.RUNNING, "")
    if end == "succeeded":
        jobs.move(claim, State.EVALUATING, "")
        jobs.succeed(claim)
    elif end == "failed":
        jobs.fail(claim, "", "")
    elif end == "cancelled":
        jobs.move(claim, State.CANCELLED, "")

    with pytest.raises(ClaimRefused, match=f"is {end}, not queued"):
        jobs.claim(job_id, "b")


def test_a_lease_that_ran_out_gives_the_job_to_another(jobs: JobStore, database: Database) -> None:
    """The reaper queues it again, unannounced, and the next attempt is another number."""
    job_id = queued(jobs)
    jobs.claim(job_id, "a")
    jobs.announced(job_id)
    expire(database, job_id)

    assert jobs.reap("b") == [(job_id, State.QUEUED)]

    assert jobs.unannounced() == [job_id]
    assert jobs.claim(job_id, "b").attempt == 2
    reason = "host lost: worker a did not renew its lease"
    assert [(s.worker, s.reason) for s in jobs.history(job_id)][-2:] == [
        ("b", reason),
        ("b", "claimed"),
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda jobs, claim: jobs.renew(claim),
        lambda jobs, claim: jobs.record(claim, [{"seq": 1, "kind": "progress"}]),
        lambda jobs, claim: jobs.keep_checkpoint(claim, {"files": {}}),
        lambda jobs, claim: jobs.add_artifact(claim, "a.png", "a.png", 3, "00"),
        lambda jobs, claim: jobs.move(claim, State.RUNNING, ""),
        lambda jobs, claim: jobs.succeed(claim),
        lambda jobs, claim: jobs.fail(claim, "", ""),
        lambda jobs, claim: jobs.release(claim, ""),
    ],
    ids=["renew", "record", "checkpoint", "artifact", "move", "succeed", "fail", "release"],
)
def test_a_worker_that_woke_late_is_refused(jobs: JobStore, database: Database, write) -> None:
    """Its lease ran out and another took over: whatever it writes would be wrong."""
    job_id = queued(jobs)
    late = jobs.claim(job_id, "a")
    expire(database, job_id)
    jobs.reap("b")
    with pytest.raises(LeaseLost, match=r"attempt 1 has lost it; it is queued \(attempt 1\)"):
        write(jobs, late)
    now = jobs.claim(job_id, "b")

    with pytest.raises(LeaseLost, match=r"it belongs to worker b \(attempt 2\)"):
        write(jobs, late)

    assert jobs.get(job_id).state == State.STARTING
    assert jobs.renew(now) == Wishes()
    assert jobs.artifacts(job_id) == []


def test_the_same_worker_s_older_attempt_is_refused_too(jobs: JobStore, database: Database) -> None:
    """The attempt is the fence, not the worker's name."""
    job_id = queued(jobs)
    late = jobs.claim(job_id, "a")
    expire(database, job_id)
    jobs.reap("a")
    jobs.claim(job_id, "a")

    with pytest.raises(LeaseLost):
        jobs.renew(late)


def test_a_renewed_lease_is_not_reaped(jobs: JobStore, database: Database) -> None:
    """A heartbeat that comes late, but before the reaper, holds the job."""
    job_id = queued(jobs)
    claim = jobs.claim(job_id, "a")
    expire(database, job_id)
    jobs.renew(claim)

    assert jobs.reap("b") == []


def test_a_job_that_loses_every_worker_fails_at_last(jobs: JobStore, database: Database) -> None:
    """It may be the job that kills them."""
    job_id = queued(jobs)
    for _ in range(LOST_LIMIT):
        jobs.claim(job_id, "a")
        expire(database, job_id)
        last = jobs.reap("b")

    assert last == [(job_id, State.FAILED)]
    assert jobs.get(job_id).error == {
        "reason": "host lost",
        "message": "its worker was lost 3 times; the last was a",
        "log": [],
    }


def test_attempts_that_end_well_do_not_count_as_lost(jobs: JobStore) -> None:
    """A worker that is restarted every night must not use a job's chances up."""
    job_id = queued(jobs)
    for _ in range(LOST_LIMIT + 1):
        jobs.release(jobs.claim(job_id, "a"), "its worker was asked to end")

    assert jobs.get(job_id).state == State.QUEUED


def test_reapers_at_once_take_a_job_once(jobs: JobStore, database: Database) -> None:
    """Every worker runs one."""
    ids = [queued(jobs) for _ in range(5)]
    for job_id in ids:
        jobs.claim(job_id, "a")
        expire(database, job_id)

    with ThreadPoolExecutor(4) as threads:
        reaped = [r for found in threads.map(jobs.reap, "bcde") for r in found]

    assert sorted(reaped) == [(job_id, State.QUEUED) for job_id in ids]
    assert all(jobs.get(job_id).lost == 1 for job_id in ids)


def test_a_queued_job_is_cancelled_at_once(jobs: JobStore) -> None:
    """Nobody works on it."""
    job_id = queued(jobs)

    assert jobs.cancel(job_id).state == State.CANCELLED

    with pytest.raises(ClaimRefused):
        jobs.claim(job_id, "a")


def test_a_running_job_is_cancelled_by_its_worker(jobs: JobStore) -> None:
    """It is cancelled only when its processes have ended; asking twice is no error."""
    job_id = queued(jobs)
    claim = jobs.claim(job_id, "a")

    assert jobs.cancel(job_id).state == State.STARTING
    assert jobs.cancel(job_id).cancel_requested

    assert jobs.renew(claim) == Wishes(cancel=True)
    jobs.move(claim, State.CANCELLED, "cancelled by the user")
    assert jobs.get(job_id).state == State.CANCELLED


def test_an_ended_job_cannot_be_cancelled(jobs: JobStore) -> None:
    """The refusal says the state and what is possible."""
    job_id = queued(jobs)
    jobs.cancel(job_id)

    with pytest.raises(ActionRefused) as refusal:
        jobs.cancel(job_id)

    assert refusal.value.state == State.CANCELLED
    assert refusal.value.possible == ("resume", "retry", "delete")
    assert str(refusal.value) == (
        f"cannot cancel job {job_id}: it is cancelled; possible actions: resume, retry, delete"
    )


def test_a_cancel_is_kept_when_the_worker_gives_the_job_back(jobs: JobStore) -> None:
    """Else another worker would start what a person has cancelled."""
    job_id = queued(jobs)
    claim = jobs.claim(job_id, "a")
    jobs.cancel(job_id)

    jobs.release(claim, "its worker was asked to end")

    assert jobs.get(job_id).state == State.CANCELLED


def test_a_cancel_is_kept_when_the_worker_is_lost(jobs: JobStore, database: Database) -> None:
    """As above, by the reaper."""
    job_id = queued(jobs)
    jobs.claim(job_id, "a")
    jobs.cancel(job_id)
    expire(database, job_id)

    assert jobs.reap("b") == [(job_id, State.CANCELLED)]


def test_cancelling_an_unknown_job_says_so(jobs: JobStore) -> None:
    """404, not 409."""
    with pytest.raises(JobNotFound):
        jobs.cancel("nobody")

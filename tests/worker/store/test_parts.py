"""A job with parts: written at once, waiting in the queue, never in anybody's way."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update

from worker.errors import ActionRefused, ClaimRefused
from worker.store import Claim, Database, Job, JobStore, Need, NewPart, State, Waiting

THREE = [NewPart(f"okdhp-s{i}", "distill", {"seed": i}, {"seed": i, "all": 1}) for i in range(3)]


def parent(jobs: JobStore, parts: list[NewPart] = THREE) -> tuple[str, list[str]]:
    """A job with three parts: its id and theirs."""
    job, _ = jobs.add("compare", {}, {}, parts=parts)
    return job.id, [part.id for part in jobs.parts(job.id)]


def finish(jobs: JobStore, job_id: str) -> None:
    claim = jobs.claim(job_id, "a")
    for state in (State.RUNNING, State.EVALUATING):
        jobs.move(claim, state, "goes on")
    jobs.succeed(claim)


def fail(jobs: JobStore, job_id: str) -> None:
    jobs.fail(jobs.claim(job_id, "a"), "NaN loss", "at step 7")


def cancel(jobs: JobStore, job_id: str) -> None:
    jobs.cancel(job_id)


def test_parts_are_jobs_with_a_name_and_a_parent(jobs: JobStore) -> None:
    """Each as it was given, in the order in which they were."""
    job_id, _ = parent(jobs)

    parts = jobs.parts(job_id)
    assert [part.part for part in parts] == ["okdhp-s0", "okdhp-s1", "okdhp-s2"]
    assert {part.parent_id for part in parts} == {job_id}
    assert [part.resolved for part in parts] == [dict(part.resolved) for part in THREE]
    assert [step.reason for step in jobs.history(parts[0].id)] == [f"a part of job {job_id}"]
    assert jobs.parts(parts[0].id) == []


def test_a_job_that_waits_for_its_parts_is_neither_announced_nor_claimed(jobs: JobStore) -> None:
    """A worker that held it would be missing among those who do the parts."""
    job_id, parts = parent(jobs)

    assert jobs.unannounced() == parts
    with pytest.raises(ClaimRefused, match=f"job {job_id} waits for its parts"):
        jobs.claim(job_id, "a")
    assert jobs.get(job_id).attempt == 0


@pytest.mark.parametrize("end", [finish, fail, cancel])
def test_it_is_announced_and_claimed_when_the_last_part_has_ended(jobs: JobStore, end) -> None:
    """In whatever way it ended: what failed is told in the table, and the rest is worth one."""
    job_id, parts = parent(jobs)
    finish(jobs, parts[0])
    fail(jobs, parts[1])
    claim = jobs.claim(parts[2], "a")
    assert job_id not in jobs.unannounced()  # nor is one that a worker holds
    with pytest.raises(ClaimRefused):
        jobs.claim(job_id, "b")
    jobs.release(claim, "its worker ends")  # back in the queue is not ended
    assert job_id not in jobs.unannounced()
    assert jobs.waiting([job_id]) == {job_id: Waiting(open=1, parts=3)}

    end(jobs, parts[2])

    assert jobs.unannounced() == [job_id]
    assert jobs.waiting([job_id]) == {job_id: Waiting(open=0, parts=3)}
    jobs.announced(job_id)
    assert jobs.unannounced() == []
    assert jobs.next_jobs([Need.ANY]) == [job_id]
    assert jobs.claim(job_id, "a") == Claim(job_id, 1, "a")


def test_a_part_whose_worker_is_lost_keeps_its_parent_waiting(
    jobs: JobStore, database: Database
) -> None:
    """The reaper queues it again; only when it gives up has the part ended."""
    job_id, parts = parent(jobs, THREE[:1])
    for lost in range(1, 4):
        jobs.claim(parts[0], "a")
        with database.writing() as session:
            session.execute(update(Job).where(Job.id == parts[0]).values(lease_expires_at=1.0))
        [(reaped, state)] = jobs.reap("b")
        assert (reaped, state) == (parts[0], State.QUEUED if lost < 3 else State.FAILED)
        assert (job_id in jobs.unannounced()) == (lost == 3)

    jobs.claim(job_id, "a")


def test_a_parent_that_goes_back_to_the_queue_does_not_wait_again(
    jobs: JobStore, database: Database
) -> None:
    """Its parts have ended; a worker lost while it gathers costs nothing but that."""
    job_id, parts = parent(jobs, THREE[:1])
    finish(jobs, parts[0])
    jobs.release(jobs.claim(job_id, "a"), "its worker ends")

    assert jobs.unannounced() == [job_id]
    assert jobs.claim(job_id, "b").attempt == 2


def test_cancelling_a_parent_cancels_its_parts(jobs: JobStore) -> None:
    """Queued ones at once; running ones are asked to end; what has ended stays as it is."""
    job_id, parts = parent(jobs)
    finish(jobs, parts[0])
    running = jobs.claim(parts[1], "a")

    assert jobs.cancel(job_id).state == State.CANCELLED

    states = [part.state for part in jobs.parts(job_id)]
    assert states == [State.SUCCEEDED, State.STARTING, State.CANCELLED]
    assert jobs.renew(running).cancel
    jobs.release(running, "asked to end")
    assert jobs.get(parts[1]).state == State.CANCELLED
    assert jobs.unannounced() == []
    with pytest.raises(ActionRefused):
        jobs.cancel(job_id)


def test_a_part_can_be_cancelled_alone(jobs: JobStore) -> None:
    """The others go on, and the comparison is made of them."""
    job_id, parts = parent(jobs)

    jobs.cancel(parts[0])

    assert [part.state for part in jobs.parts(job_id)][1:] == [State.QUEUED] * 2
    assert jobs.get(job_id).state == State.QUEUED


def test_a_parent_and_its_parts_are_written_at_once_or_not_at_all(jobs: JobStore) -> None:
    """A comparison that lacks runs from the start would never be one."""
    broken = NewPart("broken", "distill", {}, {"not": object()})

    with pytest.raises(Exception, match="not JSON serializable"):
        jobs.add("compare", {}, {}, parts=[*THREE, broken])

    assert jobs.page().jobs == []


def test_the_same_key_makes_one_parent_and_its_parts_once(jobs: JobStore) -> None:
    """Both posts passed the look-up before either was written."""
    start = Barrier(4)

    def post(_: int) -> tuple[str, bool]:
        start.wait()
        job, new = jobs.add("compare", {}, {}, idempotency_key="k", parts=THREE)
        return job.id, new

    with ThreadPoolExecutor(4) as threads:
        posted = list(threads.map(post, range(4)))

    assert len({job_id for job_id, _ in posted}) == 1
    assert sum(new for _, new in posted) == 1
    assert len(jobs.page().jobs) == 4


def test_the_last_two_parts_that_end_at_once_leave_a_parent_that_can_be_claimed_once(
    jobs: JobStore,
) -> None:
    """Two workers finish at the same moment, and both look for the next job."""
    job_id, parts = parent(jobs, THREE[:2])
    claims = [jobs.claim(part, worker) for part, worker in zip(parts, "ab", strict=True)]
    start = Barrier(2)

    def end(claim: Claim) -> bool:
        start.wait()
        jobs.fail(claim, "NaN loss", "at step 7")
        try:
            jobs.claim(job_id, claim.worker)
        except ClaimRefused:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sum(threads.map(end, claims)) == 1

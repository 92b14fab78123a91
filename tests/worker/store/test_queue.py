"""Whose turn it is: priority, age, and what a device can do."""

import pytest
from sqlalchemy import text

from worker.store import Database, JobStore, Need, NewPart

ALL = tuple(Need)


def add(jobs: JobStore, **given: object) -> str:
    return jobs.add("distill", {}, {}, **given)[0].id


def test_the_highest_priority_goes_first_and_among_equals_the_oldest(jobs: JobStore) -> None:
    """Whatever each of them needs."""
    late = [add(jobs, priority=0, needs=need) for need in ALL]
    first, second = (add(jobs, priority=9, needs=need) for need in (Need.CPU, Need.GPU))
    usual = add(jobs)

    assert jobs.next_jobs(ALL, limit=10) == [first, second, usual, *late]
    assert jobs.next_jobs(ALL) == [first]


@pytest.mark.parametrize(
    ("needs", "served"),
    [
        ([Need.GPU, Need.ANY], ["gpu", "any"]),
        ([Need.CPU], ["cpu"]),
        ([Need.CPU, Need.ANY], ["cpu", "any"]),
        ([], []),
    ],
)
def test_a_device_is_given_only_what_it_can_do(
    jobs: JobStore, needs: list[Need], served: list[str]
) -> None:
    """A job that waits for a GPU keeps none from a CPU."""
    ids = {str(need): add(jobs, needs=need, priority=p) for p, need in enumerate(ALL)}

    assert set(jobs.next_jobs(needs, limit=10)) == {ids[need] for need in served}


def test_what_is_held_or_has_ended_has_no_turn(jobs: JobStore) -> None:
    """Nor has a job whose parts are open; its parts have its priority."""
    held, cancelled = add(jobs, priority=9), add(jobs, priority=9)
    jobs.claim(held, "a")
    jobs.cancel(cancelled)
    parts = [NewPart("one", "distill", {}, {}, Need.GPU), NewPart("two", "distill", {}, {})]
    parent = add(jobs, priority=8, needs=Need.CPU, parts=parts)

    one, two = jobs.parts(parent)
    assert (one.priority, one.needs, two.needs) == (8, Need.GPU, Need.ANY)
    assert jobs.next_jobs(ALL, limit=10) == [one.id, two.id]
    assert jobs.need_of(one.id) == Need.GPU


def test_what_kept_a_job_waiting_is_forgotten_once_it_is_taken(jobs: JobStore) -> None:
    """A notice about a GPU that was full must not outlive the waiting."""
    job_id = add(jobs)
    assert jobs.hold_up(job_id, "the GPU is full")
    assert not jobs.hold_up(job_id, "the GPU is full")
    assert jobs.get(job_id).held_up == "the GPU is full"

    claim = jobs.claim(job_id, "a")
    assert not jobs.hold_up(job_id, "too late")
    jobs.release(claim, "its worker ends")

    assert jobs.get(job_id).held_up is None


def test_whose_turn_it_is_is_read_from_an_index(database: Database, jobs: JobStore) -> None:
    """Of ten thousand jobs the first must not cost ten thousand rows, nor a sort."""
    query = (
        "SELECT id FROM jobs WHERE state = 'queued' AND needs = 'any' "
        "ORDER BY priority DESC, id LIMIT 1"
    )
    explain = "EXPLAIN QUERY PLAN " if database.engine.dialect.name == "sqlite" else "EXPLAIN "
    with database.reading() as session:
        if explain == "EXPLAIN ":
            session.execute(text("SET LOCAL enable_seqscan = off"))
            session.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = "\n".join(str(row) for row in session.execute(text(explain + query)))

    assert "jobs_by_turn" in plan
    assert "SORT" not in plan.upper().replace("SORT KEY", "") and "TEMP B-TREE" not in plan

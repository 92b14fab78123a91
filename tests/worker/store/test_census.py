"""Jobs counted by state and kind, for whoever watches a server."""

from sqlalchemy import update

from worker.store import Database, Job, JobStore, Need, State, census


def test_nothing_is_counted_where_there_is_nothing(database: Database) -> None:
    """An empty queue has no age."""
    found = census(database)

    assert found.counts == {}
    assert found.oldest_queued_s == 0


def test_jobs_are_counted_and_the_oldest_that_waits_is_aged(
    database: Database, jobs: JobStore
) -> None:
    """One that a worker has taken waits no more, however old it is."""
    taken, _ = jobs.add("distill", {}, {})
    jobs.add("distill", {}, {})
    jobs.add("evaluate", {}, {}, needs=Need.CPU)
    with database.writing() as session:
        an_hour_ago = Job.created_at - 3600
        session.execute(update(Job).where(Job.id == taken.id).values(created_at=an_hour_ago))
    before = census(database)
    jobs.claim(taken.id, "a")
    after = census(database)

    assert before.counts == {(State.QUEUED, "distill"): 2, (State.QUEUED, "evaluate"): 1}
    assert after.counts == {
        (State.STARTING, "distill"): 1,
        (State.QUEUED, "distill"): 1,
        (State.QUEUED, "evaluate"): 1,
    }
    assert before.queued == {Need.ANY: 2, Need.CPU: 1}
    assert after.queued == {Need.ANY: 1, Need.CPU: 1}
    assert 3600 < before.oldest_queued_s < 3660
    assert 0 < after.oldest_queued_s < 60

"""Jobs counted by state and kind, for whoever watches a server."""

from worker.store import Database, JobStore, State, census


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
    jobs.add("evaluate", {}, {})
    before = census(database)
    jobs.claim(taken.id, "a")
    after = census(database)

    assert before.counts == {(State.QUEUED, "distill"): 2, (State.QUEUED, "evaluate"): 1}
    assert after.counts == {
        (State.STARTING, "distill"): 1,
        (State.QUEUED, "distill"): 1,
        (State.QUEUED, "evaluate"): 1,
    }
    assert 0 < before.oldest_queued_s < 60
    assert 0 < after.oldest_queued_s < 60

"""Which jobs' files may go, on both databases."""

from sqlalchemy import update

from worker.store import Database, Job, JobStore, NewPart
from worker.store.retention import ended_first, give_up, given_up, gone, held, removed

FILES = {"files": {"checkpoints/last.pt": {"key": "k", "bytes": 7, "sha256": "x"}}}


def failed(jobs: JobStore, job_id: str | None = None) -> str:
    """A job that has ended, with an artifact of 100 bytes and a checkpoint of 7."""
    claim = jobs.claim(job_id or jobs.add("distill", {}, {})[0].id, "a")
    jobs.add_artifact(claim, "a.onnx", "k", 100, "x")
    jobs.keep_checkpoint(claim, FILES)
    jobs.fail(claim, "", "")
    return claim.job_id


def test_only_what_nobody_needs_may_go(jobs: JobStore, database: Database) -> None:
    """Not of a part that is waited for, nor what an open job names; the last to end comes first."""
    first, second, named = failed(jobs), failed(jobs), failed(jobs)
    parent = jobs.add("compare", {}, {}, parts=[NewPart("one", "distill", {}, {})])[0].id
    failed(jobs, jobs.parts(parent)[0].id)
    jobs.add("distill", {}, {"data": {"weights": named}})
    with database.writing() as session:
        session.execute(update(Job).where(Job.id == first).values(ended_at=Job.ended_at - 60))

    found = held(database)

    assert [(one.job_id, one.bytes) for one in found] == [(second, 107), (first, 107)]
    assert 60 <= found[1].age_s < 120
    assert ended_first(database, [second, first, parent]) == [first, second]


def test_files_are_given_up_once_and_removed_until_it_is_done(
    jobs: JobStore, database: Database
) -> None:
    """The row remembers what is left to do."""
    job_id, other = failed(jobs), failed(jobs)
    jobs.resume(other, {}, "")

    assert give_up(database, job_id)
    assert not give_up(database, other), "it was resumed"
    assert gone(database, [job_id, other, "nobody"]) == {job_id}
    assert given_up(database) == [(job_id, False)]
    removed(database, job_id, artifacts=True)
    assert given_up(database) == []
    jobs.forget([job_id])
    assert gone(database, [job_id]) == {job_id}

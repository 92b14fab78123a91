"""What a person asks of a job, in every state: done, or refused with what is possible."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from worker.errors import ActionRefused, JobInUse, JobNotFound
from worker.store import Claim, Database, Job, JobStore, NewPart, State, Version, Wishes

JUDGED = {"seq": 1, "kind": "epoch", "epoch": 1, "branches": {"a": {"pck@0.2": 5.0}}}
UNJUDGED = {"seq": 1, "kind": "epoch", "epoch": 1}
WAY = (State.RUNNING, State.EVALUATING)


def claimed(jobs: JobStore, *events: dict, until: State = State.STARTING, **more) -> Claim:
    """A job that a worker holds."""
    claim = jobs.claim(jobs.add("distill", {}, {"epochs": 2}, **more)[0].id, "a")
    for state in WAY[: WAY.index(until) + 1] if until in WAY else ():
        jobs.move(claim, state, "")
    jobs.record(claim, events)
    return claim


def ended(jobs: JobStore, state: State, *events: dict) -> str:
    claim = claimed(jobs, *events, until=State.EVALUATING)
    end: dict[State, Callable[[], None]] = {
        State.SUCCEEDED: lambda: jobs.succeed(claim),
        State.FAILED: lambda: jobs.fail(claim, "NaN loss", "at step 3"),
        State.CANCELLED: lambda: jobs.move(claim, State.CANCELLED, ""),
    }
    end[state]()
    return claim.job_id


def version_of(job_id: str, sha256: str) -> Version:
    return Version(
        model="gym", key="k", bytes=1, sha256=sha256, card={}, metrics={}, receipt=None,
        job_id=job_id, branch="a", variant="fp32",
    )  # fmt: skip


ENDS = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


@pytest.mark.parametrize(
    ("until", "possible"),
    [
        (State.STARTING, ("cancel", "stop")),
        (State.RUNNING, ("cancel", "stop")),
        (State.EVALUATING, ("cancel",)),
    ],
)
def test_of_a_job_that_has_results_only_what_makes_sense_is_offered(
    jobs: JobStore, until: State, possible: tuple[str, ...]
) -> None:
    """What is being evaluated already cannot be told to."""
    claim = claimed(jobs, JUDGED, until=until)

    assert jobs.actions(jobs.get(claim.job_id)) == possible


@pytest.mark.parametrize("events", [[], [UNJUDGED]])
def test_what_has_nothing_to_export_cannot_be_stopped(jobs: JobStore, events: list) -> None:
    """An epoch that was not evaluated has chosen no weights."""
    claim = claimed(jobs, *events, until=State.RUNNING)

    with pytest.raises(ActionRefused, match="there is nothing to export; possible actions: cancel"):
        jobs.stop(claim.job_id)


def test_a_stop_outlives_its_worker(jobs: JobStore) -> None:
    """Whoever takes the job next is told as well."""
    claim = claimed(jobs, JUDGED, until=State.RUNNING)

    assert jobs.stop(claim.job_id).stop_requested
    assert jobs.renew(claim) == Wishes(stop=True)
    jobs.release(claim, "its worker ends")

    assert jobs.get(claim.job_id).stop_requested
    assert jobs.renew(jobs.claim(claim.job_id, "b")) == Wishes(stop=True)


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_job_is_resumed_as_if_it_had_never_ended(jobs: JobStore, end: State) -> None:
    """The same job with its epochs; its failures and the wishes of before are forgotten."""
    job_id = ended(jobs, end, JUDGED)

    job = jobs.resume(job_id, {"epochs": 3}, "resumed by the user, up to epoch 3")

    assert (job.state, job.attempt, job.resolved) == (State.QUEUED, 1, {"epochs": 3})
    assert (job.error, job.result, job.ended_at, job.lost) == (None, None, None, 0)
    assert not job.cancel_requested and not job.stop_requested
    assert jobs.unannounced() == [job_id]
    step = jobs.history(job_id)[-1]
    assert (step.old, step.new, step.reason) == (
        end,
        State.QUEUED,
        "resumed by the user, up to epoch 3",
    )
    assert jobs.claim(job_id, "b").attempt == 2
    assert len(jobs.metrics(job)["history"]) == 1


def test_what_is_not_over_is_not_resumed(jobs: JobStore) -> None:
    """A second click finds it queued; who has no epochs is repeated instead."""
    job_id = ended(jobs, State.FAILED)
    jobs.resume(job_id, {}, "")

    with pytest.raises(ActionRefused, match="it is queued; possible actions: cancel"):
        jobs.resume(job_id, {}, "")
    with pytest.raises(ActionRefused, match="no epochs to go on with; possible actions: retry, de"):
        jobs.resume(ended(jobs, State.SUCCEEDED), {}, "")
    with pytest.raises(JobNotFound):
        jobs.resume("nobody", {}, "")


def test_a_resumed_job_s_parts_are_resumed_where_they_did_not_succeed(jobs: JobStore) -> None:
    """It waits for them again; those that succeeded are not trained twice."""
    parts = [NewPart(name, "distill", {}, {}) for name in ("good", "bad")]
    parent = jobs.add("compare", {}, {}, parts=parts)[0].id
    good, bad = (jobs.claim(part.id, "a") for part in jobs.parts(parent))
    for state in WAY:
        jobs.move(good, state, "")
    jobs.succeed(good)
    jobs.fail(bad, "NaN loss", "")
    jobs.cancel(parent)

    jobs.resume(parent, {}, "resumed by the user")

    assert [p.state for p in jobs.parts(parent)] == [State.SUCCEEDED, State.QUEUED]
    assert jobs.unannounced() == [bad.job_id]


def test_a_second_ending_is_a_version_of_its_own(jobs: JobStore, database: Database) -> None:
    """Another file of the same branch of the same job; the same file is not registered twice."""
    job_id = ended(jobs, State.FAILED, JUDGED)
    for sha256 in ("one", "two", "two"):
        jobs.resume(job_id, {}, "")
        claim = jobs.claim(job_id, "a")
        for state in WAY:
            jobs.move(claim, state, "")
        jobs.succeed(claim, version_of(job_id, sha256), "stopped by the user after epoch 1")

    with database.reading() as session:
        found = session.query(Version.version, Version.sha256).all()
    assert sorted(map(tuple, found)) == [(1, "one"), (2, "two")]
    assert jobs.history(job_id)[-1].reason == "stopped by the user after epoch 1"


def test_a_deleted_job_leaves_no_row(jobs: JobStore, database: Database) -> None:
    """Its parts, epochs, steps and files neither."""
    parts = [NewPart("only", "distill", {}, {})]
    parent = jobs.add("compare", {}, {}, parts=parts)[0].id
    part = jobs.claim(jobs.parts(parent)[0].id, "a")
    jobs.record(part, [JUDGED])
    jobs.add_artifact(part, "a.onnx", "k", 1, "00")
    jobs.fail(part, "", "")
    with pytest.raises(ActionRefused, match=f"job {parent} waits for it"):
        jobs.give_up_files(part.job_id)
    jobs.cancel(parent)

    ids = jobs.give_up_files(parent)
    with pytest.raises(ActionRefused, match="its files were pruned"):
        jobs.resume(parent, {}, "")
    jobs.forget(ids)

    assert ids == [parent, part.job_id]
    with database.reading() as session:
        for table in ("jobs", "job_epochs", "job_transitions", "artifacts", "job_events"):
            assert session.connection().exec_driver_sql(f"SELECT * FROM {table}").all() == []


def test_a_job_whose_part_works_on_is_not_deleted(jobs: JobStore) -> None:
    """A cancelled parent ends at once, a part when its processes have."""
    parent = jobs.add("compare", {}, {}, parts=[NewPart("only", "distill", {}, {})])[0].id
    jobs.claim(jobs.parts(parent)[0].id, "a")
    jobs.cancel(parent)

    with pytest.raises(ActionRefused, match="parts of it have not ended"):
        jobs.give_up_files(parent)


def test_what_is_needed_is_deleted_only_when_told(jobs: JobStore, database: Database) -> None:
    """A model stays without its job; a job that begins with another's weights may wait for them."""
    job_id = ended(jobs, State.FAILED)
    with database.writing() as session:
        from worker.store.versions import insert_version

        insert_version(session, version_of(job_id, "x"), 1.0)
    waiting = jobs.add("distill", {}, {"training": {"init": job_id}})[0].id

    with pytest.raises(JobInUse, match=f"is needed by model gym:1, job {waiting}; with force"):
        jobs.give_up_files(job_id)
    jobs.forget(jobs.give_up_files(job_id, force=True))

    with database.reading() as session:
        assert session.get_one(Version, ("gym", 1)).job_id is None
    with pytest.raises(JobNotFound):
        jobs.get(job_id)


def test_a_job_s_time_begins_with_its_first_claim_and_again_when_it_is_resumed(
    jobs: JobStore, database: Database
) -> None:
    """Waiting costs none of it; a worker that is lost gives none of it back."""
    claim = claimed(jobs, timeout_s=1000.0)
    jobs.add_lines(claim, 1, [f"line {n}" for n in range(300)])
    jobs.add_lines(claim, 301, ["the last"])
    assert jobs.renew(claim) == Wishes()
    deadline = jobs.get(claim.job_id).deadline_at
    jobs.release(claim, "")
    claim = jobs.claim(claim.job_id, "b")
    assert jobs.get(claim.job_id).deadline_at == deadline

    with database.writing() as session:
        session.execute(update(Job).values(deadline_at=Job.deadline_at - 1000))
    assert jobs.renew(claim) == Wishes(timed_out=True)
    with database.writing() as session:
        session.execute(update(Job).values(lease_expires_at=1.0))
    assert jobs.reap("c") == [(claim.job_id, State.FAILED)]

    job = jobs.get(claim.job_id)
    assert job.error is not None
    assert job.error["reason"] == "timeout"
    assert "longer than its limit of 1000 s" in job.error["message"]
    assert (len(job.error["log"]), job.error["log"][-2:]) == (200, ["line 299", "the last"])
    assert jobs.resume(claim.job_id, {}, "").deadline_at is None

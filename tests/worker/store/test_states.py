"""What may follow what: every edge of the table, and every refusal."""

from collections.abc import Callable

import pytest

from worker.errors import TransitionRefused
from worker.store import ACTIVE, FINAL, FOLLOWS, Claim, JobStore, State

WAY = (State.STARTING, State.RUNNING, State.EVALUATING)
END: dict[State, Callable[[JobStore, Claim], object]] = {
    State.SUCCEEDED: lambda jobs, claim: jobs.succeed(claim),
    State.FAILED: lambda jobs, claim: jobs.fail(claim, "bad data", "row 3 is empty"),
    State.CANCELLED: lambda jobs, claim: jobs.move(claim, State.CANCELLED, "by the user"),
    State.QUEUED: lambda jobs, claim: jobs.release(claim, "its worker ends"),
    State.RUNNING: lambda jobs, claim: jobs.move(claim, State.RUNNING, "it works"),
    State.EVALUATING: lambda jobs, claim: jobs.move(claim, State.EVALUATING, "it is measured"),
}


def claimed(jobs: JobStore, state: State) -> Claim:
    """A job that a worker holds in `state`."""
    job, _ = jobs.add("distill", {}, {})
    claim = jobs.claim(job.id, "a")
    for step in WAY[1 : WAY.index(state) + 1]:
        jobs.move(claim, step, "on its way")
    return claim


@pytest.mark.parametrize("old", ACTIVE)
@pytest.mark.parametrize("new", END)
def test_a_held_job_goes_where_the_table_lets_it_and_nowhere_else(
    jobs: JobStore, old: State, new: State
) -> None:
    """A refused step leaves no trace."""
    claim = claimed(jobs, old)
    before = len(jobs.history(claim.job_id))

    if new in FOLLOWS[old]:
        END[new](jobs, claim)
        assert jobs.get(claim.job_id).state == new
        assert jobs.history(claim.job_id)[-1].old == old
    else:
        with pytest.raises(TransitionRefused, match=f"{new} cannot follow {old}"):
            END[new](jobs, claim)
        assert jobs.get(claim.job_id).state == old
        assert len(jobs.history(claim.job_id)) == before


def test_the_table_knows_every_state() -> None:
    """A state that was forgotten there would be a KeyError in somebody's night."""
    assert set(FOLLOWS) == set(State)
    assert all(FOLLOWS[state] == {State.QUEUED} for state in FINAL)


def test_every_step_is_noted_with_time_worker_and_reason(jobs: JobStore) -> None:
    """A person reads there what happened to a job."""
    claim = claimed(jobs, State.EVALUATING)
    jobs.succeed(claim)

    steps = jobs.history(claim.job_id)
    assert [(s.old, s.new, s.worker, s.attempt, s.reason) for s in steps] == [
        (None, State.QUEUED, None, 0, "posted"),
        (State.QUEUED, State.STARTING, "a", 1, "claimed"),
        (State.STARTING, State.RUNNING, "a", 1, "on its way"),
        (State.RUNNING, State.EVALUATING, "a", 1, "on its way"),
        (State.EVALUATING, State.SUCCEEDED, "a", 1, "finished"),
    ]
    assert [s.at for s in steps] == sorted(s.at for s in steps)
    job = jobs.get(claim.job_id)
    assert (job.worker, job.lease_expires_at) == (None, None)
    assert job.started_at is not None and job.ended_at is not None
    assert job.created_at <= job.started_at <= job.ended_at


def test_a_failed_job_says_why(jobs: JobStore) -> None:
    """Reason, message and the last lines of the log stay with the job."""
    claim = claimed(jobs, State.RUNNING)

    jobs.fail(claim, "NaN loss", "the loss is no number at step 3", ["step 2", "step 3"])

    assert jobs.get(claim.job_id).error == {
        "reason": "NaN loss",
        "message": "the loss is no number at step 3",
        "log": ["step 2", "step 3"],
    }

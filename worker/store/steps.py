"""A job's step from one state to the next, inside somebody's transaction."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.errors import TransitionRefused
from worker.store.callbacks import add_callback
from worker.store.database import now
from worker.store.events import STATE, append
from worker.store.tables import ACTIVE, FINAL, FOLLOWS, Job, State, Transition

_REASON_LENGTH = 500


def step(session: Session, job: Job, new: State, worker: str | None, reason: str) -> None:
    """Move a locked job by the table of states, and note it. Raises TransitionRefused."""
    old = job.state
    if new not in FOLLOWS[old]:
        raise TransitionRefused(job.id, old, new)
    job.state = new
    if new not in ACTIVE:
        job.worker = None
        job.lease_expires_at = None
    if new == State.QUEUED:
        job.announced_at = None
        job.ended_at = None
    if new in FINAL:
        job.ended_at = clock(session)
        add_callback(session, job, job.ended_at, reason[:_REASON_LENGTH])
    note_step(session, job, old, worker, reason)


def note_step(
    session: Session, job: Job, old: State | None, worker: str | None, reason: str
) -> None:
    """Write down that the job came from `old` to the state it is in, and tell those who follow."""
    at = clock(session)
    taken = {
        "old": old,
        "new": job.state,
        "attempt": job.attempt,
        "worker": worker,
        "reason": reason[:_REASON_LENGTH],
    }
    session.add(Transition(job_id=job.id, at=at, **taken))
    append(session, job, at, STATE, taken)


def clock(session: Session) -> float:
    """The database's time, seconds since 1970."""
    return session.execute(select(now())).scalar_one()

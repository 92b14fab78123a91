"""Taking jobs from workers that were lost, inside somebody's transaction."""

from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.failure import Failure, timeout
from worker.store.database import now
from worker.store.events import LOG, JobEvent
from worker.store.steps import clock, step
from worker.store.tables import ACTIVE, Job, State

_LOG_LINES: Final = 200


def reap(session: Session, reaper: str, lost_limit: int) -> list[tuple[str, State]]:
    """Take the jobs whose lease ran out; ids and their new states.

    They are queued again; one that lost its worker `lost_limit` times or whose time is over fails,
    and one whose cancel was asked for is cancelled.
    """
    query = (
        select(Job)
        .where(Job.state.in_(ACTIVE), Job.lease_expires_at < now())
        .order_by(Job.id)
        .with_for_update(skip_locked=True)
    )
    reaped = []
    for job in session.scalars(query):
        reason = f"host lost: worker {job.worker} did not renew its lease"
        job.lost += 1
        if job.cancel_requested:
            new = State.CANCELLED
        elif failure := _failure(job, clock(session), lost_limit):
            new = State.FAILED
            job.error = {
                "reason": failure.reason,
                "message": failure.message,
                "log": _last_lines(session, job.id),
            }
        else:
            new = State.QUEUED
        step(session, job, new, reaper, reason)
        reaped.append((job.id, new))
    return reaped


def _last_lines(session: Session, job_id: str) -> list[str]:
    """Of the log as it was stored: its file lies with the host that is lost."""
    of_log = (JobEvent.job_id == job_id) & (JobEvent.kind == LOG)
    query = select(JobEvent.data).where(of_log).order_by(JobEvent.seq.desc()).limit(_LOG_LINES)
    batches = [data["lines"] for data in session.scalars(query)]
    return [line for lines in reversed(batches) for line in lines][-_LOG_LINES:]


def _failure(job: Job, at: float, lost_limit: int) -> Failure | None:
    if job.deadline_at is not None and at >= job.deadline_at:
        return timeout(job.timeout_s)
    if job.lost >= lost_limit:
        message = f"its worker was lost {job.lost} times; the last was {job.worker}"
        return Failure("host lost", message)
    return None

"""Whose turn it is among the jobs that wait, and which of them the broker must be told of."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.store.parts import parts_are_open
from worker.store.tables import Job, Need, State


def next_jobs(session: Session, needs: Iterable[Need], limit: int) -> list[str]:
    """Ids of the jobs that wait for a device and for no part; highest priority first, then oldest.

    A query for each need: an index gives its answer in order, however many jobs wait.
    """
    found: list[tuple[int, str]] = []
    for need in needs:
        waiting = select(Job.priority, Job.id).where(
            Job.state == State.QUEUED, Job.needs == need, ~parts_are_open()
        )
        first = waiting.order_by(Job.priority.desc(), Job.id).limit(limit)
        found += [(priority, job_id) for priority, job_id in session.execute(first)]
    in_turn = sorted(found, key=lambda job: (-job[0], job[1]))
    return [job_id for _, job_id in in_turn[:limit]]


def unannounced(session: Session, limit: int) -> list[str]:
    """Ids of queued jobs that the broker was not told of and wait for no part, oldest first."""
    query = select(Job.id).where(
        Job.state == State.QUEUED, Job.announced_at.is_(None), ~parts_are_open()
    )
    return list(session.scalars(query.order_by(Job.id).limit(limit)))

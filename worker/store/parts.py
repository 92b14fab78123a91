"""Jobs that are parts of another one: it waits in the queue until all of them have ended."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, case, exists, func, select
from sqlalchemy.orm import Session, aliased

from worker.store.identity import body_sha256, new_id
from worker.store.steps import note_step, step
from worker.store.tables import FINAL, Job, Need, State


@dataclass(frozen=True)
class NewPart:
    """A job to be added as a part: what it is called there, and what every job has."""

    name: str
    kind: str
    config: Mapping[str, Any]
    resolved: Mapping[str, Any]
    needs: Need = Need.ANY


@dataclass(frozen=True)
class Waiting:
    """How many of a job's parts have not ended, and how many there are."""

    open: int
    parts: int


def parts_are_open() -> ColumnElement[bool]:
    """Of the job of the query: whether it still waits for a part."""
    part = aliased(Job)
    return exists(select(part.id).where(part.parent_id == Job.id, part.state.not_in(FINAL)))


def add_parts(session: Session, parent: Job, parts: Sequence[NewPart]) -> list[Job]:
    """Queue the parts of a job that is added in the same transaction, in their order."""
    # Sorted, so that they are announced and shown in their order however fast they are made.
    ids = sorted(new_id() for _ in parts)
    added = [
        Job(
            id=id_,
            kind=part.kind,
            parent_id=parent.id,
            part=part.name,
            state=State.QUEUED,
            config=dict(part.config),
            resolved=dict(part.resolved),
            created_at=parent.created_at,
            body_sha256=body_sha256(part.kind, part.config),
            timeout_s=parent.timeout_s,
            priority=parent.priority,
            needs=part.needs,
        )
        for id_, part in zip(ids, parts, strict=True)
    ]
    session.add_all(added)
    session.flush()
    for job in added:
        note_step(session, job, None, None, f"a part of job {parent.id}")
    return added


def cancel_parts(session: Session, parent: Job, reason: str) -> None:
    """Cancel the queued parts of a locked job at once, and ask the others to end."""
    query = (
        select(Job)
        .where(Job.parent_id == parent.id, Job.state.not_in(FINAL))
        .order_by(Job.id)
        .with_for_update()
    )
    for part in session.scalars(query):
        part.cancel_requested = True
        if part.state == State.QUEUED:
            step(session, part, State.CANCELLED, None, reason)


def waiting_of(session: Session, job_ids: Collection[str]) -> dict[str, Waiting]:
    """By id; jobs without parts are left out."""
    is_open = func.sum(case((Job.state.in_(FINAL), 0), else_=1))
    query = select(Job.parent_id, is_open, func.count()).group_by(Job.parent_id)
    rows = session.execute(query.where(Job.parent_id.in_(job_ids)))
    return {parent: Waiting(int(left), of) for parent, left, of in rows if parent is not None}

"""Whose files may go: jobs that ended long ago, or whose files are more than there is room for."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import String, cast, delete, exists, func, or_, select
from sqlalchemy.orm import Mapped, Session, aliased, mapped_column

from worker.store.database import Database, now
from worker.store.steps import clock
from worker.store.tables import FINAL, Artifact, Job, Table, Version

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DeletedJob(Table):
    """A job that was deleted: every host removes what it still has of it."""

    __tablename__ = "deleted_jobs"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    at: Mapped[float]


@dataclass(frozen=True)
class Held:
    """An ended job with files."""

    job_id: str
    age_s: float
    """Since its end."""
    bytes: int
    """That go with its files: of one that a model came from, those of its checkpoint."""


def held(database: Database) -> list[Held]:
    """The ended jobs whose files nobody needs, those that ended last first."""
    parent = aliased(Job)
    waited_for = exists().where(parent.id == Job.parent_id, parent.state.not_in(FINAL))
    registered = exists().where(Version.job_id == Job.id)
    size = select(func.sum(Artifact.bytes)).where(Artifact.job_id == Job.id).scalar_subquery()
    query = (
        select(Job.id, now() - Job.ended_at, size, registered, Job.checkpoint)
        .where(Job.state.in_(FINAL), Job.pruned_at.is_(None), ~waited_for)
        .order_by(Job.ended_at.desc())
    )
    with database.reading() as session:
        rows = session.execute(query).all()
        named = _named_by_open_jobs(session)
    return [
        Held(job_id, age_s, _checkpoint_bytes(saved) + (0 if kept else bytes_ or 0))
        for job_id, age_s, bytes_, kept, saved in rows
        if job_id not in named
    ]


def give_up(database: Database, job_id: str) -> bool:
    """Note that the files of an ended job go; False where it was resumed meanwhile."""
    with database.writing() as session:
        job = session.get(Job, job_id, with_for_update=True)
        if job is None or job.state not in FINAL:
            return False
        job.pruned_at = job.pruned_at or clock(session)
    return True


def given_up(database: Database) -> list[tuple[str, bool]]:
    """Jobs whose files have yet to be removed, and whether a model came from them."""
    registered = exists().where(Version.job_id == Job.id)
    files = exists().where(Artifact.job_id == Job.id)
    left = or_(Job.checkpoint.is_not(None), files & ~registered)
    query = select(Job.id, registered).where(Job.pruned_at.is_not(None), left)
    with database.reading() as session:
        return [(job_id, kept) for job_id, kept in session.execute(query)]


def removed(database: Database, job_id: str, *, artifacts: bool) -> None:
    """Note that the files of a job are gone; artifacts: these as well."""
    with database.writing() as session:
        if artifacts:
            session.execute(delete(Artifact).where(Artifact.job_id == job_id))
        job = session.get(Job, job_id, with_for_update=True)
        if job is not None:
            job.checkpoint = None


def gone(database: Database, job_ids: Collection[str]) -> set[str]:
    """Those of the jobs that were deleted or whose files were given up."""
    with database.reading() as session:
        deleted = session.scalars(select(DeletedJob.id).where(DeletedJob.id.in_(job_ids)))
        pruned = select(Job.id).where(Job.id.in_(job_ids), Job.pruned_at.is_not(None))
        return {*deleted, *session.scalars(pruned)}


def ended_first(database: Database, job_ids: Collection[str]) -> list[str]:
    """The ended ones of the jobs, in the order of their ends."""
    query = select(Job.id).where(Job.id.in_(job_ids), Job.state.in_(FINAL)).order_by(Job.ended_at)
    with database.reading() as session:
        return list(session.scalars(query))


@contextmanager
def at_rest(database: Database, job_id: str) -> Iterator[bool]:
    """Whether the job has ended or is no more; it cannot be resumed before the block ends."""
    with database.writing() as session:
        job = session.get(Job, job_id, with_for_update=True)
        yield job is None or job.state in FINAL


def _named_by_open_jobs(session: Session) -> set[str]:
    query = select(cast(Job.resolved, String)).where(Job.state.not_in(FINAL))
    return {id_ for text in session.scalars(query) for id_ in _UUID.findall(text)}


def _checkpoint_bytes(checkpoint: Mapping[str, Any] | None) -> int:
    return sum(file["bytes"] for file in (checkpoint or {"files": {}})["files"].values())

"""What a person asks of a job: cancel, stop, resume, delete; each in somebody's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import String, cast, select, update
from sqlalchemy.orm import Session

from worker.errors import ActionRefused, JobInUse, JobNotFound
from worker.store.parts import cancel_parts
from worker.store.retention import DeletedJob
from worker.store.steps import clock, step
from worker.store.tables import ACTIONS, FINAL, Epoch, Job, State, Version

BY_THE_USER = "cancelled by the user"


def possible(session: Session, job: Job) -> tuple[str, ...]:
    """The actions that make sense now."""
    return tuple(a for a in ACTIONS[job.state] if not _hindrance(session, job, a))


def require(session: Session, job_id: str, action: str, *, lock: bool = False) -> Job:
    """The job, if the action makes sense now. Raises JobNotFound, ActionRefused."""
    job = session.get(Job, job_id, with_for_update=lock or None)
    if job is None:
        raise JobNotFound(job_id)
    why = _hindrance(session, job, action) if action in ACTIONS[job.state] else ""
    if why or action not in ACTIONS[job.state]:
        raise ActionRefused(job_id, action, job.state, possible(session, job), why)
    return job


def cancel(session: Session, job_id: str) -> Job:
    """A queued job is cancelled at once, a running one is asked to end; so are its parts."""
    job = require(session, job_id, "cancel", lock=True)
    job.cancel_requested = True
    if job.state == State.QUEUED:
        step(session, job, State.CANCELLED, None, BY_THE_USER)
    cancel_parts(session, job, BY_THE_USER)
    return job


def stop(session: Session, job_id: str) -> Job:
    """Ask for the end of the training; whoever works on it, now or next, is told."""
    job = require(session, job_id, "stop", lock=True)
    job.stop_requested = True
    return job


def resume(session: Session, job_id: str, resolved: Mapping[str, Any], reason: str) -> Job:
    """Queue an ended job again, with those of its parts that did not succeed.

    resolved: its configuration from now on.
    """
    job = require(session, job_id, "resume", lock=True)
    _queue_again(session, job, reason)
    job.resolved = dict(resolved)
    failed = Job.state.in_((State.FAILED, State.CANCELLED)) & Job.pruned_at.is_(None)
    query = select(Job).where(Job.parent_id == job_id, failed).order_by(Job.id).with_for_update()
    for part in session.scalars(query):
        _queue_again(session, part, reason)
    return job


def give_up_files(session: Session, job_id: str, *, force: bool) -> list[str]:
    """The first step of a deletion: the job and its parts can no longer be resumed; their ids.

    Raises JobInUse unless forced.
    """
    job = require(session, job_id, "delete", lock=True)
    parts = select(Job).where(Job.parent_id == job_id).order_by(Job.id).with_for_update()
    family = [job, *session.scalars(parts)]
    if any(one.state not in FINAL for one in family):
        why = "parts of it have not ended"
        raise ActionRefused(job_id, "delete", job.state, possible(session, job), why)
    ids = [one.id for one in family]
    if not force and (users := _users(session, ids)):
        raise JobInUse(job_id, users)
    for one in family:
        one.pruned_at = one.pruned_at or clock(session)
    return ids


def forget(session: Session, job_ids: Sequence[str]) -> None:
    """The last step of a deletion. Models that came from the jobs stay, and name none."""
    session.execute(update(Version).where(Version.job_id.in_(job_ids)).values(job_id=None))
    for job in session.scalars(select(Job).where(Job.id.in_(job_ids))):
        session.delete(job)
        session.merge(DeletedJob(id=job.id, at=clock(session)))


def is_judged(session: Session, job_id: str) -> bool:
    """Whether an epoch of the job has been evaluated: there is something to export."""
    judged = Epoch.entry["branches"].as_string().is_not(None)
    query = select(Epoch.epoch).where(Epoch.job_id == job_id, judged).limit(1)
    return session.scalar(query) is not None


def _queue_again(session: Session, job: Job, reason: str) -> None:
    job.cancel_requested = job.stop_requested = False
    job.lost = 0
    job.deadline_at = job.error = job.result = None
    step(session, job, State.QUEUED, None, reason)


def _hindrance(session: Session, job: Job, action: str) -> str:
    """Why an action that the state allows makes no sense all the same; empty where it does."""
    match action:
        case "stop" if not is_judged(session, job.id):
            return "no epoch of it has been evaluated yet, so there is nothing to export"
        case "resume" if job.pruned_at is not None:
            return "its files were pruned"
        case "resume" if job.state == State.SUCCEEDED and not is_judged(session, job.id):
            return "it has no epochs to go on with"
        case "delete" if job.parent_id is not None:
            parent = session.get(Job, job.parent_id)
            if parent is not None and parent.state not in FINAL:
                return f"job {parent.id} waits for it"
    return ""


def _users(session: Session, job_ids: Sequence[str]) -> list[str]:
    """What needs the files of the jobs: models that came from them, jobs that have not ended."""
    versions = select(Version).where(Version.job_id.in_(job_ids))
    users = [f"model {v.model}:{v.version}" for v in session.scalars(versions)]
    waiting = Job.state.not_in(FINAL) & Job.id.not_in(job_ids)
    for job_id in job_ids:
        names_it = cast(Job.resolved, String).contains(job_id)
        users += [f"job {id_}" for id_ in session.scalars(select(Job.id).where(waiting, names_it))]
    return users

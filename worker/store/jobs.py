"""The jobs: added by the service, claimed and written by one worker at a time.

A claim is one UPDATE that tests the state and raises `attempt`. Every later write of the worker
locks the row and compares attempt and worker, so that one who woke late is refused (LeaseLost).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.errors import (
    ArtifactNotFound,
    ClaimRefused,
    IdempotencyConflict,
    JobNotFound,
    LeaseLost,
)
from worker.store import actions
from worker.store.database import Database, now
from worker.store.events import ARTIFACT, append, append_lines
from worker.store.identity import body_sha256, new_id
from worker.store.metrics import summary
from worker.store.parts import (
    NewPart,
    Waiting,
    add_parts,
    parts_are_open,
    waiting_of,
)
from worker.store.queue import next_jobs, unannounced
from worker.store.reaper import reap
from worker.store.recording import record
from worker.store.steps import clock, note_step, step
from worker.store.tables import (
    PRIORITY,
    Artifact,
    Epoch,
    Job,
    Need,
    State,
    Transition,
    Version,
)
from worker.store.versions import insert_version


@dataclass(frozen=True)
class Claim:
    """A worker's right to write to a job: the attempt is its fencing token."""

    job_id: str
    attempt: int
    worker: str


@dataclass(frozen=True)
class Wishes:
    """What the worker of a job is to bring about."""

    cancel: bool = False
    stop: bool = False
    """Evaluate and export what is there."""
    timed_out: bool = False


@dataclass(frozen=True)
class JobPage:
    """Some jobs, newest first; `next` asks for those after them, None at the end."""

    jobs: list[Job]
    next: str | None


class JobStore:
    """All that is known about jobs. Every method is one transaction."""

    def __init__(self, database: Database, *, lease_s: float = 15.0, lost_limit: int = 3) -> None:
        self._database = database
        self._lease_s = lease_s
        self._lost_limit = lost_limit

    # The service's side ------------------------------------------------------------------------

    def add(
        self,
        kind: str,
        config: Mapping[str, Any],
        resolved: Mapping[str, Any],
        *,
        idempotency_key: str | None = None,
        parts: Sequence[NewPart] = (),
        timeout_s: float | None = None,
        retry_of: str | None = None,
        callback_url: str | None = None,
        priority: int = PRIORITY,
        needs: Need = Need.ANY,
    ) -> tuple[Job, bool]:
        """A new job in `queued`, and True; or the one that the key belongs to, and False.

        parts: jobs that are queued with it, and that it waits for. timeout_s: how long it and each
        of its parts may work. retry_of: the job that it repeats. callback_url: told of its end.
        priority: from 0 to 9, of its parts as well. needs: of the job alone.
        Raises IdempotencyConflict when the key was used with another kind or config.
        """
        if idempotency_key is not None and (old := self.posted(idempotency_key, kind, config)):
            return old, False
        try:
            with self._database.writing() as session:
                job = Job(
                    id=new_id(),
                    kind=kind,
                    state=State.QUEUED,
                    config=dict(config),
                    resolved=dict(resolved),
                    created_at=clock(session),
                    idempotency_key=idempotency_key,
                    body_sha256=body_sha256(kind, config),
                    timeout_s=timeout_s,
                    retry_of=retry_of,
                    callback_url=callback_url,
                    priority=priority,
                    needs=needs,
                )
                session.add(job)
                session.flush()
                note_step(session, job, None, None, f"repeats {retry_of}" if retry_of else "posted")
                add_parts(session, job, parts)
            return job, True
        except IntegrityError:  # the same key came at the same moment
            if idempotency_key is None:
                raise
            first = self.posted(idempotency_key, kind, config)
            if first is None:
                raise
            return first, False

    def posted(self, key: str, kind: str, config: Mapping[str, Any]) -> Job | None:
        """The job that was posted with this idempotency key, if any.

        Raises IdempotencyConflict when it was posted with another kind or config.
        """
        with self._database.reading() as session:
            job = session.scalar(select(Job).where(Job.idempotency_key == key))
        if job is not None and job.body_sha256 != body_sha256(kind, config):
            raise IdempotencyConflict(key, job.id)
        return job

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        with self._database.reading() as session:
            job = session.get(Job, job_id)
        if job is None:
            raise JobNotFound(job_id)
        return job

    def parts(self, job_id: str) -> list[Job]:
        """The jobs that a job waits for, in their order; none for most."""
        with self._database.reading() as session:
            query = select(Job).where(Job.parent_id == job_id).order_by(Job.id)
            return list(session.scalars(query))

    def waiting(self, job_ids: Collection[str]) -> dict[str, Waiting]:
        """For how many parts jobs wait, by id; those without parts are left out."""
        with self._database.reading() as session:
            return waiting_of(session, job_ids)

    def page(
        self,
        *,
        state: State | None = None,
        kind: str | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> JobPage:
        """Jobs, newest first; `before` is the last page's `next` (keyset paging)."""
        query = select(Job).order_by(Job.id.desc()).limit(limit + 1)
        if state is not None:
            query = query.where(Job.state == state)
        if kind is not None:
            query = query.where(Job.kind == kind)
        if before is not None:
            query = query.where(Job.id < before)
        with self._database.reading() as session:
            jobs = list(session.scalars(query))
        more = len(jobs) > limit
        return JobPage(jobs[:limit], jobs[limit - 1].id if more else None)

    def history(self, job_id: str) -> list[Transition]:
        """Every step that the job took, oldest first; none for an unknown job."""
        with self._database.reading() as session:
            query = select(Transition).where(Transition.job_id == job_id)
            return list(session.scalars(query.order_by(Transition.id)))

    def metrics(self, job: Job) -> dict[str, Any]:
        """{"latest", "best", "history"}; see `worker.store.metrics.summary`."""
        with self._database.reading() as session:
            query = select(Epoch.entry).where(Epoch.job_id == job.id).order_by(Epoch.epoch)
            return summary(list(session.scalars(query)), job.result)

    def artifacts(self, job_id: str) -> list[Artifact]:
        """What the job left, by name; none for an unknown job."""
        with self._database.reading() as session:
            query = select(Artifact).where(Artifact.job_id == job_id).order_by(Artifact.name)
            return list(session.scalars(query))

    def artifact(self, job_id: str, name: str) -> Artifact:
        """Raises JobNotFound, ArtifactNotFound."""
        with self._database.reading() as session:
            found = session.get(Artifact, (job_id, name)) if name.isprintable() else None
        if found is None:
            self.get(job_id)
            raise ArtifactNotFound(f"job {job_id} has no artifact {name!r}")
        return found

    def actions(self, job: Job) -> tuple[str, ...]:
        """What a person can do with the job now."""
        with self._database.reading() as session:
            return actions.possible(session, job)

    def require(self, job_id: str, action: str) -> Job:
        """The job. Raises JobNotFound; ActionRefused when the action makes no sense now."""
        with self._database.reading() as session:
            return actions.require(session, job_id, action)

    def cancel(self, job_id: str) -> Job:
        """A queued job is cancelled at once, a running one is asked to end; so are its parts.

        Raises JobNotFound; ActionRefused for a job that has ended.
        """
        with self._database.writing() as session:
            return actions.cancel(session, job_id)

    def stop(self, job_id: str) -> Job:
        """Ask a training to evaluate and export what it has; whatever becomes of its worker.

        Raises JobNotFound; ActionRefused where nothing has been evaluated yet or it has ended.
        """
        with self._database.writing() as session:
            return actions.stop(session, job_id)

    def resume(self, job_id: str, resolved: Mapping[str, Any], reason: str) -> Job:
        """Queue an ended job again, with those of its parts that did not succeed.

        resolved: its configuration from now on. Raises JobNotFound, ActionRefused.
        """
        with self._database.writing() as session:
            return actions.resume(session, job_id, resolved, reason)

    def give_up_files(self, job_id: str, *, force: bool = False) -> list[str]:
        """The first step of a deletion: nobody resumes the job or its parts; their ids.

        Raises JobNotFound; ActionRefused before all of them have ended; JobInUse unless forced.
        """
        with self._database.writing() as session:
            return actions.give_up_files(session, job_id, force=force)

    def forget(self, job_ids: Sequence[str]) -> None:
        """The last step of a deletion, after the files are gone."""
        with self._database.writing() as session:
            actions.forget(session, job_ids)

    # The bell ----------------------------------------------------------------------------------

    def next_jobs(self, needs: Iterable[Need], *, limit: int = 1) -> list[str]:
        """Ids of the jobs whose turn it is for a device that serves these needs."""
        with self._database.reading() as session:
            return next_jobs(session, needs, limit)

    def unannounced(self, *, limit: int = 100) -> list[str]:
        """Ids of jobs that wait for a device and that the broker was not told of, oldest first."""
        with self._database.reading() as session:
            return unannounced(session, limit)

    def need_of(self, job_id: str) -> Need:
        """What a job asks of its device; `any` of one that is gone."""
        with self._database.reading() as session:
            return session.scalar(select(Job.needs).where(Job.id == job_id)) or Need.ANY

    def announced(self, job_id: str) -> None:
        """Note that the broker was told of a queued job."""
        with self._database.writing() as session:
            waiting = update(Job).where(Job.id == job_id, Job.state == State.QUEUED)
            session.execute(waiting.values(announced_at=now()))

    def hold_up(self, job_id: str, why: str) -> bool:
        """Note why a queued job could not be taken; whether that is news."""
        with self._database.writing() as session:
            waiting = update(Job).where(Job.id == job_id, Job.state == State.QUEUED)
            other = waiting.where(Job.held_up.is_distinct_from(why))
            return session.scalar(other.values(held_up=why).returning(Job.id)) is not None

    # The worker's side -------------------------------------------------------------------------

    def claim(self, job_id: str, worker: str, reason: str = "claimed") -> Claim:
        """Take a queued job. reason: for its history.

        Raises ClaimRefused when it is not queued or waits for its parts, JobNotFound.
        """
        with self._database.writing() as session:
            attempt = session.scalar(
                update(Job)
                .where(Job.id == job_id, Job.state == State.QUEUED, ~parts_are_open())
                .values(
                    state=State.STARTING,
                    attempt=Job.attempt + 1,
                    worker=worker,
                    held_up=None,
                    lease_expires_at=now() + self._lease_s,
                    started_at=func.coalesce(Job.started_at, now()),
                    deadline_at=func.coalesce(Job.deadline_at, now() + Job.timeout_s),
                )
                .returning(Job.attempt)
            )
            job = session.get(Job, job_id)
            if job is None:
                raise JobNotFound(job_id)
            if attempt is None:
                waits = job.state == State.QUEUED
                why = "waits for its parts" if waits else f"is {job.state}, not queued"
                raise ClaimRefused(f"job {job_id} {why}")
            note_step(session, job, State.QUEUED, worker, reason)
        return Claim(job_id, attempt, worker)

    def renew(self, claim: Claim) -> Wishes:
        """Hold the lease, and learn what is wanted of the job. Raises LeaseLost."""
        with self._database.writing() as session:
            job = self._owned(session, claim)
            at = clock(session)
            job.lease_expires_at = at + self._lease_s
            return Wishes(
                cancel=job.cancel_requested,
                stop=job.stop_requested,
                timed_out=job.deadline_at is not None and at >= job.deadline_at,
            )

    def record(self, claim: Claim, events: Sequence[Mapping[str, Any]]) -> None:
        """Store a run's events; those that are stored already change nothing. Raises LeaseLost.

        events: in their order, each with `seq` and `kind` (progress, epoch, finished are kept).
        """
        with self._database.writing() as session:
            record(session, self._owned(session, claim), events)

    def add_lines(self, claim: Claim, first: int, lines: Sequence[str]) -> None:
        """Store lines of the run's log; those that are stored already change nothing.

        first: the number of the first, from 1 through all attempts. Raises LeaseLost.
        """
        with self._database.writing() as session:
            append_lines(session, self._owned(session, claim), clock(session), first, lines)

    def keep_checkpoint(self, claim: Claim, checkpoint: Mapping[str, Any]) -> None:
        """Note what another host goes on from (`worker.checkpoints`). Raises LeaseLost."""
        with self._database.writing() as session:
            self._owned(session, claim).checkpoint = dict(checkpoint)

    def add_artifact(self, claim: Claim, name: str, key: str, bytes_: int, sha256: str) -> None:
        """Note a file of the job; one of the same name is replaced. Raises LeaseLost."""
        with self._database.writing() as session:
            job = self._owned(session, claim)
            at = clock(session)
            known = session.get(Artifact, (job.id, name))
            if known is None or known.sha256 != sha256:
                append(session, job, at, ARTIFACT, {"name": name, "bytes": bytes_})
            session.merge(
                Artifact(
                    job_id=job.id,
                    name=name,
                    key=key,
                    bytes=bytes_,
                    sha256=sha256,
                    created_at=at,
                )
            )

    def move(self, claim: Claim, new: State, reason: str) -> None:
        """Go on to `new`. Raises LeaseLost; TransitionRefused when it cannot follow."""
        with self._database.writing() as session:
            step(session, self._owned(session, claim), new, claim.worker, reason)

    def succeed(
        self, claim: Claim, version: Version | None = None, reason: str = "finished"
    ) -> None:
        """End the job well and, in the same transaction, register what it made.

        version: complete but for its number and time. reason: for its history.
        Raises LeaseLost, TransitionRefused.
        """
        with self._database.writing() as session:
            job = self._owned(session, claim)
            if version is not None:
                insert_version(session, version, clock(session))
            step(session, job, State.SUCCEEDED, claim.worker, reason)

    def fail(self, claim: Claim, reason: str, message: str, log: Iterable[str] = ()) -> None:
        """End the job with what a person can act on. Raises LeaseLost, TransitionRefused.

        reason: a few words; message: what happened; log: the last lines of the run.
        """
        with self._database.writing() as session:
            job = self._owned(session, claim)
            job.error = {"reason": reason, "message": message, "log": list(log)}
            step(session, job, State.FAILED, claim.worker, reason)

    def release(self, claim: Claim, reason: str) -> None:
        """Give the job back to the queue, or end it if its cancel was asked for meanwhile.

        Raises LeaseLost, TransitionRefused.
        """
        with self._database.writing() as session:
            job = self._owned(session, claim)
            new = State.CANCELLED if job.cancel_requested else State.QUEUED
            step(session, job, new, claim.worker, reason)

    def reap(self, reaper: str) -> list[tuple[str, State]]:
        """Take the jobs whose lease ran out from their workers; ids and their new states.

        They are queued again; one that lost its worker `lost_limit` times or whose time is over
        fails, and one whose cancel was asked for is cancelled. Any number of reapers may run at
        once.
        """
        with self._database.writing() as session:
            return reap(session, reaper, self._lost_limit)

    def _owned(self, session: Session, claim: Claim) -> Job:
        """The claim's job, locked until the transaction ends. Raises LeaseLost."""
        job = session.get(Job, claim.job_id, with_for_update=True)
        if job is None:
            raise LeaseLost(claim.job_id, claim.attempt, "it was deleted")
        if (job.attempt, job.worker) != (claim.attempt, claim.worker):
            holder = f"belongs to worker {job.worker}" if job.worker else f"is {job.state}"
            raise LeaseLost(claim.job_id, claim.attempt, f"it {holder} (attempt {job.attempt})")
        return job

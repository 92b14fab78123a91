"""A job as the API shows it, out of the store's rows."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from service.context import Context
from service.jobs.schemas import (
    ArtifactEntry,
    Child,
    Failure,
    JobDocument,
    JobEntry,
    Metrics,
    Progress,
    Step,
)
from service.times import shown
from worker.store import Artifact, Job, State, Waiting


def job_entries(jobs: Sequence[Job], parts: Context, root: str) -> list[JobEntry]:
    """Jobs in a list. root: what stands before every path of the API."""
    queued = [job.id for job in jobs if job.state == State.QUEUED]
    waiting = parts.stores.jobs.waiting(queued)
    return [JobEntry(**_common(job, parts, root, waiting.get(job.id))) for job in jobs]


def job_document(job: Job, parts: Context, root: str) -> JobDocument:
    """All about the job."""
    jobs = parts.stores.jobs
    waiting = jobs.waiting([job.id]).get(job.id)
    return JobDocument(
        **_common(job, parts, root, waiting),
        config=job.config,
        resolved=job.resolved,
        metrics=Metrics.model_validate(jobs.metrics(job)),
        artifacts=[artifact_entry(a, root) for a in jobs.artifacts(job.id)],
        children=[
            Child(id=child.id, name=child.part or "", state=child.state, url=_url(child, root))
            for child in (jobs.parts(job.id) if waiting else ())
        ],
        error=Failure.model_validate(job.error) if job.error else None,
        result=job.result,
        history=[
            Step(
                at=shown(step.at),
                old=step.old,
                new=step.new,
                attempt=step.attempt,
                worker=step.worker,
                reason=step.reason,
            )
            for step in jobs.history(job.id)
        ],
        actions=list(jobs.actions(job)),
    )


def artifact_entry(artifact: Artifact, root: str) -> ArtifactEntry:
    """A file with the place to fetch it from."""
    return ArtifactEntry(
        name=artifact.name,
        url=f"{root}/jobs/{artifact.job_id}/artifacts/{quote(artifact.name)}",
        bytes=artifact.bytes,
        sha256=artifact.sha256,
    )


def _url(job: Job, root: str) -> str:
    return f"{root}/jobs/{job.id}"


def _notice(job: Job, parts: Context, waiting: Waiting | None) -> str | None:
    """Why a job in the queue is still there, where it is known."""
    if job.state != State.QUEUED:
        return None
    if waiting is not None and waiting.open:
        return f"waits for {waiting.open} of {waiting.parts} jobs"
    return parts.no_worker or job.held_up


def _progress(job: Job) -> Progress | None:
    """None also where an older program wrote another form of it."""
    try:
        return Progress.model_validate(job.progress) if job.progress else None
    except ValidationError:
        return None


def _common(job: Job, parts: Context, root: str, waiting: Waiting | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "url": _url(job, root),
        "created_at": shown(job.created_at),
        "started_at": shown(job.started_at),
        "ended_at": shown(job.ended_at),
        "attempt": job.attempt,
        "worker": job.worker,
        "cancel_requested": job.cancel_requested,
        "stop_requested": job.stop_requested,
        "timeout_s": job.timeout_s,
        "priority": job.priority,
        "needs": job.needs,
        "progress": _progress(job),
        "parent": job.parent_id,
        "retry_of": job.retry_of,
        "pruned_at": shown(job.pruned_at),
        "notice": _notice(job, parts, waiting),
    }

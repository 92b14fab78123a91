"""A job as the API shows it, out of the store's rows."""

from typing import Any
from urllib.parse import quote

from service.context import Context
from service.jobs.schemas import (
    ArtifactEntry,
    Failure,
    JobDocument,
    JobEntry,
    Metrics,
    Progress,
    Step,
)
from service.times import shown
from worker.store import Artifact, Job, State
from worker.store.tables import ACTIONS


def job_entry(job: Job, parts: Context, root: str) -> JobEntry:
    """The job in a list. root: what stands before every path of the API."""
    return JobEntry(**_common(job, parts, root))


def job_document(job: Job, parts: Context, root: str) -> JobDocument:
    """All about the job."""
    jobs = parts.stores.jobs
    return JobDocument(
        **_common(job, parts, root),
        config=job.config,
        resolved=job.resolved,
        metrics=Metrics.model_validate(jobs.metrics(job)),
        artifacts=[artifact_entry(a, root) for a in jobs.artifacts(job.id)],
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
        actions=list(ACTIONS[job.state]),
    )


def artifact_entry(artifact: Artifact, root: str) -> ArtifactEntry:
    """A file with the place to fetch it from."""
    return ArtifactEntry(
        name=artifact.name,
        url=f"{root}/jobs/{artifact.job_id}/artifacts/{quote(artifact.name)}",
        bytes=artifact.bytes,
        sha256=artifact.sha256,
    )


def _common(job: Job, parts: Context, root: str) -> dict[str, Any]:
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "url": f"{root}/jobs/{job.id}",
        "created_at": shown(job.created_at),
        "started_at": shown(job.started_at),
        "ended_at": shown(job.ended_at),
        "attempt": job.attempt,
        "worker": job.worker,
        "cancel_requested": job.cancel_requested,
        "progress": Progress.model_validate(job.progress) if job.progress else None,
        "notice": parts.no_worker if job.state == State.QUEUED else None,
    }

"""/jobs: post, list, follow, act on them, and fetch what they made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request, Response

from model.errors import ConfigError, Fault
from service.context import Context, context
from service.jobs.download import download
from service.jobs.schemas import ArtifactList, JobDocument, JobList, JobPost, JobResume
from service.jobs.view import artifact_entry, job_document, job_entries
from service.problems import problems
from worker import actions
from worker.callbacks import check_callback
from worker.errors import (
    ArtifactNotFound,
    ArtifactUnusable,
    DatasetNotFound,
    JobNotFound,
    ModelNotFound,
    VersionNotFound,
)
from worker.store import State
from worker.submission import submit

router = APIRouter(prefix="/jobs", tags=["jobs"])
Parts = Annotated[Context, Depends(context)]


def _root(request: Request) -> str:
    """What a proxy has put before our paths."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def _known_form(job_id: str) -> str:
    """An id that no job can have is refused before a database sees it."""
    try:
        return str(UUID(job_id))
    except ValueError:
        raise JobNotFound(job_id) from None


Root = Annotated[str, Depends(_root)]
JobId = Annotated[str, Depends(_known_form)]

NEW_JOB: Final[dict[int | str, dict[str, Any]]] = {
    202: {"headers": {"Location": {"schema": {"type": "string"}, "description": "the job"}}}
}


@router.post(
    "",
    status_code=202,
    summary="Post a job",
    responses={**NEW_JOB, **problems(400, 409, 413, 422)},
)
def post_job(
    posted: JobPost,
    response: Response,
    parts: Parts,
    root: Root,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=200,
            description="any text of yours: posting again with it gives the same job",
        ),
    ] = None,
) -> JobDocument:
    """The configuration is checked whole; then the job waits for a worker.

    `{"kind": "distill", "config": {"preset": "tiny"}}` is enough: it learns from drawn figures
    and ends within two minutes on two cores.
    """
    if posted.callback_url is not None:
        check_callback(posted.callback_url, parts.settings.callback_hosts)
    with _about_config():
        job, _ = submit(
            parts.stores,
            parts.announcer,
            posted.kind,
            posted.config,
            idempotency_key=idempotency_key,
            timeout_s=posted.timeout_s,
            callback_url=posted.callback_url,
            priority=posted.priority,
            needs=posted.needs,
        )
    response.headers["Location"] = f"{root}/jobs/{job.id}"
    return job_document(job, parts, root)


@router.get("", summary="List jobs", responses=problems(422))
def list_jobs(
    parts: Parts,
    root: Root,
    state: Annotated[State | None, Query(description="only jobs in this state")] = None,
    kind: Annotated[str | None, Query(max_length=64, description="only this kind")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    cursor: Annotated[UUID | None, Query(description="the last page's `next`")] = None,
) -> JobList:
    """Newest first; a page costs the same wherever it lies."""
    before = str(cursor) if cursor else None
    page = parts.stores.jobs.page(state=state, kind=kind, before=before, limit=limit)
    return JobList(jobs=job_entries(page.jobs, parts, root), next=page.next)


@router.get("/{job_id}", summary="Follow a job", responses=problems(404))
def get_job(job_id: JobId, parts: Parts, root: Root) -> JobDocument:
    """State, progress, metrics, artifacts, and every step it took."""
    return job_document(parts.stores.jobs.get(job_id), parts, root)


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=problems(404, 409))
def cancel_job(job_id: JobId, parts: Parts, root: Root) -> JobDocument:
    """A queued job is cancelled at once; a running one is asked to end, then made to."""
    return job_document(parts.stores.jobs.cancel(job_id), parts, root)


@router.post("/{job_id}/stop", summary="Finish a training now", responses=problems(404, 409))
def stop_job(job_id: JobId, parts: Parts, root: Root) -> JobDocument:
    """It trains no further, evaluates and exports the best epoch so far, and succeeds.

    Its history then says so. Needs one evaluated epoch; `resume` goes on with the training.
    """
    return job_document(actions.stop(parts.stores, job_id), parts, root)


@router.post(
    "/{job_id}/resume",
    summary="Go on with an ended job",
    responses=problems(400, 404, 409, 413, 422),
)
def resume_job(
    job_id: JobId, parts: Parts, root: Root, posted: JobResume | None = None
) -> JobDocument:
    """A training goes on from its last checkpoint, also for more `epochs` after it succeeded.

    What has no checkpoints begins anew. The parts that did not succeed are resumed with a job.
    """
    epochs = posted.epochs if posted else None
    with _about_config():
        job = actions.resume(parts.stores, parts.announcer, job_id, epochs=epochs)
    return job_document(job, parts, root)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Do an ended job again",
    responses={**NEW_JOB, **problems(404, 409, 422)},
)
def retry_job(job_id: JobId, response: Response, parts: Parts, root: Root) -> JobDocument:
    """A new job with the same configuration, from the beginning; `retry_of` names this one."""
    with _about_config():
        job = actions.retry(parts.stores, parts.announcer, job_id)
    response.headers["Location"] = f"{root}/jobs/{job.id}"
    return job_document(job, parts, root)


@router.delete(
    "/{job_id}",
    status_code=204,
    response_class=Response,
    summary="Delete an ended job",
    responses=problems(404, 409, 422),
)
def delete_job(
    job_id: JobId,
    parts: Parts,
    force: Annotated[
        bool, Query(description="also where a model came from it, which stays, or a job needs it")
    ] = False,
) -> None:
    """With its parts, files and checkpoints."""
    actions.delete(parts.stores, job_id, force=force)


@router.get("/{job_id}/artifacts", summary="List a job's files", responses=problems(404))
def list_artifacts(job_id: JobId, parts: Parts, root: Root) -> ArtifactList:
    """Files appear as they are stored, not only at the end."""
    parts.stores.jobs.get(job_id)  # an unknown job is no job without files
    found = parts.stores.jobs.artifacts(job_id)
    return ArtifactList(artifacts=[artifact_entry(artifact, root) for artifact in found])


@router.get(
    "/{job_id}/artifacts/{name:path}",
    summary="Fetch a job's file",
    response_class=Response,
    responses={
        200: {
            "description": "the file",
            "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "the client has it already"},
        **problems(404, 410),
    },
)
def get_artifact(
    job_id: JobId,
    name: str,
    parts: Parts,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """`ETag` is the SHA-256 of the file."""
    jobs = parts.stores.jobs
    try:
        artifact = jobs.artifact(job_id, name)
    except ArtifactNotFound:
        if jobs.get(job_id).pruned_at is not None:
            raise ArtifactUnusable(f"the files of job {job_id} were pruned") from None
        raise
    return download(artifact, parts.stores.artifacts, if_none_match)


@contextmanager
def _about_config() -> Iterator[None]:
    """Names a configuration's faults as those of the request."""
    try:
        yield
    except ConfigError as error:
        raise _below_config(error) from None
    except (DatasetNotFound, ModelNotFound, VersionNotFound) as error:
        # A 404 would speak of the address; here a name in the configuration is wrong.
        raise ConfigError([Fault("config", str(error))]) from None


def _below_config(error: ConfigError) -> ConfigError:
    """The same faults with paths as the request has them."""

    def path(where: str) -> str:
        return f"config.{where}" if where and where not in ("config", "epochs") else where

    return ConfigError(
        [replace(f, where=path(f.where), nearest=path(f.nearest)) for f in error.faults]
    )

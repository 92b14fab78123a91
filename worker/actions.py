"""What a person asks of a job, where it takes more than the job's row."""

from collections.abc import Mapping
from typing import Final

from worker.announcer import Announcer
from worker.errors import ActionRefused
from worker.jobs import KINDS, JobKind
from worker.retention import remove_files
from worker.store import ACTIONS, Job, State
from worker.store.tables import FINAL
from worker.stores import Stores
from worker.submission import known_kind, submit

_EPOCHS: Final = "resumed by the user, up to epoch {}"


def stop(stores: Stores, job_id: str, *, kinds: Mapping[str, JobKind] = KINDS) -> Job:
    """Ask a training to evaluate and export what it has. Raises JobNotFound, ActionRefused."""
    job = stores.jobs.get(job_id)
    if job.state not in FINAL and job.kind in kinds and not kinds[job.kind].trains:
        why = f"a job of kind {job.kind} cannot end early"
        others = [action for action in ACTIONS[job.state] if action != "stop"]
        raise ActionRefused(job_id, "stop", job.state, others, why)
    return stores.jobs.stop(job_id)


def resume(
    stores: Stores,
    announcer: Announcer,
    job_id: str,
    *,
    epochs: int | None = None,
    kinds: Mapping[str, JobKind] = KINDS,
) -> Job:
    """Queue an ended job again: it goes on from its last checkpoint, its parts with it.

    epochs: how many there are to be in all; by default what its configuration says.
    Raises JobNotFound, ActionRefused; KindUnknown, ConfigError, DatasetNotFound, ModelNotFound and
    VersionNotFound where this program cannot do the job any more.
    """
    job = stores.jobs.require(job_id, "resume")
    kind = known_kind(job.kind, kinds)
    trained = len(stores.jobs.metrics(job)["history"])
    resolved = kind.resumed(job, epochs, trained)
    kind.resolve(resolved, stores)
    reason = "resumed by the user" if epochs is None else _EPOCHS.format(epochs)
    job = stores.jobs.resume(job_id, resolved, reason)
    waiting = [part.id for part in stores.jobs.parts(job_id) if part.state == State.QUEUED]
    announcer.announce_all(waiting or [job_id])
    return job


def retry(
    stores: Stores, announcer: Announcer, job_id: str, *, kinds: Mapping[str, JobKind] = KINDS
) -> Job:
    """A new job with the configuration that an ended one was posted with; it names that one.

    Raises JobNotFound, ActionRefused, and what `submit` raises.
    """
    old = stores.jobs.require(job_id, "retry")
    # What was asked for a job with parts is asked of its parts.
    needs = next((part.needs for part in stores.jobs.parts(job_id)), old.needs)
    job, _ = submit(
        stores,
        announcer,
        old.kind,
        old.config,
        timeout_s=old.timeout_s,
        retry_of=old.id,
        callback_url=old.callback_url,
        priority=old.priority,
        needs=needs,
        kinds=kinds,
    )
    return job


def delete(stores: Stores, job_id: str, *, force: bool = False) -> None:
    """Remove an ended job and its parts with all that they left; models that came from it stay.

    One that is cut off is finished by asking again.
    Raises JobNotFound, ActionRefused; JobInUse unless forced.
    """
    job_ids = stores.jobs.give_up_files(job_id, force=force)
    for one in job_ids:
        remove_files(stores, one)
    stores.jobs.forget(job_ids)

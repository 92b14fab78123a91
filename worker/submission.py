"""Posting a job: checked whole, written, and announced."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from worker.announcer import Announcer
from worker.errors import KindUnknown
from worker.jobs import KINDS, JobKind
from worker.store import PRIORITY, Job, Need
from worker.stores import Stores


def known_kind(kind: str, kinds: Mapping[str, JobKind] = KINDS) -> JobKind:
    """The kind of this name. Raises KindUnknown."""
    if kind not in kinds:
        near = difflib.get_close_matches(kind, kinds, n=1)
        raise KindUnknown(kind, sorted(kinds), near[0] if near else "")
    return kinds[kind]


def submit(
    stores: Stores,
    announcer: Announcer,
    kind: str,
    config: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    timeout_s: float | None = None,
    retry_of: str | None = None,
    callback_url: str | None = None,
    priority: int = PRIORITY,
    needs: Need | None = None,
    kinds: Mapping[str, JobKind] = KINDS,
) -> tuple[Job, bool]:
    """The job, and whether it is new; a known idempotency key gives the job it belongs to.

    timeout_s: how long it may work, up to what the operator allows. retry_of: the job it repeats.
    callback_url: who is told of its end, checked by `worker.callbacks.check_callback`.
    priority: from 0 to 9. needs: instead of what its kind does; of a job with parts, theirs.
    A broker that is away is no error: the job is announced later.
    Raises KindUnknown, ConfigError, DatasetNotFound, ModelNotFound, VersionNotFound,
    IdempotencyConflict.
    """
    known_kind(kind, kinds)
    if idempotency_key is not None:
        known = stores.jobs.posted(idempotency_key, kind, config)
        if known is not None:
            return known, False
    resolved = kinds[kind].resolve(config, stores)
    parts = kinds[kind].parts(resolved, stores)
    if needs is not None:
        parts = [replace(part, needs=needs) for part in parts]
    own = needs if needs is not None and not parts else kinds[kind].needs
    limits = [limit for limit in (timeout_s, stores.settings.job_limit_s) if limit]
    job, new = stores.jobs.add(
        kind,
        config,
        resolved,
        idempotency_key=idempotency_key,
        parts=parts,
        timeout_s=min(limits, default=None),
        retry_of=retry_of,
        callback_url=callback_url,
        priority=priority,
        needs=own,
    )
    if new:
        announcer.announce_all([part.id for part in stores.jobs.parts(job.id)] or [job.id])
    return job, new

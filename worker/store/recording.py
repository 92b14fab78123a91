"""What a run's events leave in the store, inside somebody's transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from worker.store.events import METRICS, append
from worker.store.metrics import epoch_entry
from worker.store.steps import clock
from worker.store.tables import Epoch, Job


def record(session: Session, job: Job, events: Sequence[Mapping[str, Any]]) -> None:
    """Store the events of a locked job that are new; see `JobStore.record`."""
    at = clock(session)
    for event in events:
        if event["seq"] <= job.event_seq:
            continue
        job.event_seq = event["seq"]
        match event["kind"]:
            case "progress":
                job.progress = epoch_entry(event)
            case "epoch":
                entry = epoch_entry(event)
                if session.get(Epoch, (job.id, entry["epoch"])) is None:
                    append(session, job, at, METRICS, entry)
                session.merge(Epoch(job_id=job.id, epoch=entry["epoch"], entry=entry))
            case "finished":
                job.result = dict(event.get("metrics") or {})

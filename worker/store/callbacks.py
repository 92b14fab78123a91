"""What somebody who posted a job is to be told of its end: written with the end itself.

A row goes when it was delivered. Who takes one puts off its next try before the first is made:
one who is killed while sending loses nothing, and the receiver may be told twice.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, String, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.store.database import Database, now
from worker.store.identity import new_id
from worker.store.tables import Job, Table

PAUSES_S: Final = (10.0, 30.0, 120.0, 600.0, 3600.0)
"""Between one try and the next; after the last of them there is one more."""


class Callback(Table):
    """One thing to tell."""

    __tablename__ = "callbacks"
    __table_args__ = (Index("callbacks_by_due", "due_at"), Index("callbacks_by_job", "job_id"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """The receiver gets it with every try, to tell repeats."""
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    url: Mapped[str] = mapped_column(String(2000))
    body: Mapped[dict[str, Any]]
    tries: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[float]

    @property
    def is_last_try(self) -> bool:
        """Whether nobody will try again."""
        return self.tries > len(PAUSES_S)


def add_callback(session: Session, job: Job, at: float, reason: str) -> None:
    """Tell of a locked job's end, if somebody wants it, in the transaction that ends it."""
    if job.callback_url is None:
        return
    event_id = new_id()
    body = {
        "event": event_id,
        "job": job.id,
        "kind": job.kind,
        "state": job.state,
        "reason": reason,
        "attempt": job.attempt,
        "url": f"/jobs/{job.id}",
        "at": datetime.fromtimestamp(round(at, 3), UTC).isoformat(),
    }
    session.add(
        Callback(id=event_id, job_id=job.id, url=job.callback_url, body=body, tries=0, due_at=at)
    )


def take_due(database: Database) -> Callback | None:
    """The next thing to tell, if one is due; nobody else gets it before its next try is."""
    due = select(Callback).where(Callback.due_at <= now()).order_by(Callback.due_at).limit(1)
    with database.writing() as session:
        found = session.scalar(due.with_for_update(skip_locked=True))
        if found is not None:
            at = session.execute(select(now())).scalar_one()
            found.due_at = at + PAUSES_S[min(found.tries, len(PAUSES_S) - 1)]
            found.tries += 1
        return found


def forget(database: Database, callback_id: str) -> None:
    """It was told, or cannot be."""
    with database.writing() as session:
        session.execute(delete(Callback).where(Callback.id == callback_id))

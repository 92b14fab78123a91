"""What happened to a job, as one numbered stream: what people follow.

An event is appended in the transaction that makes the change, under the lock of the job's row,
whose counter it raises. So numbers have no gap, a higher number was committed later, and who asks
for what came after a number never misses one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.store.database import Database
from worker.store.tables import Job, State, Table

STATE: Final = "state"
METRICS: Final = "metrics"
LOG: Final = "log"
ARTIFACT: Final = "artifact"

_LINES: Final = 100  # of one event: who follows gets it whole


class JobEvent(Table):
    """One event of a job, never changed; it goes with its job."""

    __tablename__ = "job_events"
    __table_args__ = (Index("events_by_line", "job_id", "line"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """From 1, without a gap."""
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(16))
    data: Mapped[dict[str, Any]]
    line: Mapped[int | None]
    """Of a `log` event the number of its first line, from 1 through all of the job's attempts."""


def append(
    session: Session,
    job: Job,
    at: float,
    kind: str,
    data: Mapping[str, Any],
    *,
    line: int | None = None,
) -> None:
    """Add an event to a locked job, in the transaction that it tells of. at: `steps.clock`."""
    job.stream_seq += 1
    session.add(
        JobEvent(job_id=job.id, seq=job.stream_seq, at=at, kind=kind, data=dict(data), line=line)
    )


def append_lines(session: Session, job: Job, at: float, first: int, lines: Sequence[str]) -> None:
    """Add the lines of a locked job's log that are not there yet. first: the first one's number."""
    new = list(lines[max(0, job.log_lines + 1 - first) :])
    for begin in range(0, len(new), _LINES):
        some = new[begin : begin + _LINES]
        append(session, job, at, LOG, {"lines": some}, line=job.log_lines + 1)
        job.log_lines += len(some)


@dataclass(frozen=True)
class Standing:
    """A job at one moment: when its state is final, `seq` is the number of the step to it."""

    state: State
    seq: int
    """Of its last event; 0 while there is none."""
    progress: dict[str, Any] | None
    log_lines: int


def standing(database: Database, job_id: str) -> Standing | None:
    """Where the job stands; None where there is none of this id."""
    query = select(Job.state, Job.stream_seq, Job.progress, Job.log_lines).where(Job.id == job_id)
    with database.reading() as session:
        row = session.execute(query).one_or_none()
    return None if row is None else Standing(*row)


def events_after(database: Database, job_id: str, seq: int, limit: int) -> list[JobEvent]:
    """The job's next events after number `seq`, in their order."""
    query = select(JobEvent).where(JobEvent.job_id == job_id, JobEvent.seq > seq)
    with database.reading() as session:
        return list(session.scalars(query.order_by(JobEvent.seq).limit(limit)))


def log_lines(database: Database, job_id: str, first: int, count: int) -> list[str]:
    """At most `count` lines of the job's stored log from number `first` on."""
    of_job = JobEvent.job_id == job_id
    batch = select(func.max(JobEvent.line)).where(of_job, JobEvent.line <= first)
    query = (
        select(JobEvent.line, JobEvent.data)
        .where(of_job, JobEvent.line >= func.coalesce(batch.scalar_subquery(), 1))
        .where(JobEvent.line < first + count)
        .order_by(JobEvent.line)
    )
    with database.reading() as session:
        rows = session.execute(query).all()
    if not rows:
        return []
    lines = [line for _, data in rows for line in data["lines"]]
    skip = first - rows[0][0]
    return lines[skip : skip + count]

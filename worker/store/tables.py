"""The tables, a job's states, and what may follow what.

Times are seconds since 1970 of the database's own clock, so that no worker's clock matters.
Objects come out of the store detached: read them, nothing that is set on them is stored.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    String,
    UniqueConstraint,
    desc,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class State(StrEnum):
    """Where a job is on its way."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    EVALUATING = "evaluating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Need(StrEnum):
    """What a job asks of the device that it is given."""

    GPU = "gpu"
    CPU = "cpu"
    ANY = "any"


PRIORITY: Final = 5
"""Of a job for which none was given; from 0 to 9, higher ones go first."""

_ENDS: Final = frozenset({State.FAILED, State.CANCELLED, State.QUEUED})

FOLLOWS: Final[Mapping[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.STARTING, State.CANCELLED}),
    # back to queued: its worker was lost (the reaper) or had to end
    State.STARTING: frozenset({State.RUNNING}) | _ENDS,
    State.RUNNING: frozenset({State.EVALUATING}) | _ENDS,
    State.EVALUATING: frozenset({State.SUCCEEDED}) | _ENDS,
    # an ended job is resumed
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
}
"""The one table of what may follow what; the store refuses everything else."""

ACTIVE: Final = (State.STARTING, State.RUNNING, State.EVALUATING)
"""A worker holds a lease in these."""

FINAL: Final = (State.SUCCEEDED, State.FAILED, State.CANCELLED)

_AFTER: Final = ("resume", "retry", "delete")

ACTIONS: Final[Mapping[State, tuple[str, ...]]] = {
    State.QUEUED: ("cancel", "stop"),
    State.STARTING: ("cancel", "stop"),
    State.RUNNING: ("cancel", "stop"),
    State.EVALUATING: ("cancel",),
    State.SUCCEEDED: _AFTER,
    State.FAILED: _AFTER,
    State.CANCELLED: _AFTER,
}
"""What a person can do with a job in each state.

What else it takes is in `worker.store.actions`.
"""


class Table(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        float: Double,
        dict[str, Any]: JSON(none_as_null=True),
        list[Any]: JSON(none_as_null=True),
        State: Enum(
            State,
            native_enum=False,
            length=16,
            values_callable=lambda states: [str(s) for s in states],
        ),
        Need: Enum(
            Need,
            native_enum=False,
            length=8,
            values_callable=lambda needs: [str(n) for n in needs],
        ),
    }


class Job(Table):
    """One job; its row is the truth about it."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(f"state IN ({', '.join(repr(str(s)) for s in State)})", name="known_state"),
        Index("jobs_by_state", "state", "id"),
        Index("jobs_by_kind", "kind", "id"),
        Index("jobs_by_lease", "lease_expires_at"),
        Index("jobs_by_parent", "parent_id", "id"),
        Index("jobs_by_turn", "state", "needs", desc("priority"), "id"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    """A UUID of version 7: later jobs sort after earlier ones."""
    kind: Mapped[str] = mapped_column(String(32))
    parent_id: Mapped[str | None] = mapped_column(String(36))
    """The job that it is a part of; that one waits until all its parts have ended."""
    part: Mapped[str | None] = mapped_column(String(100))
    """What it is called there."""
    state: Mapped[State]
    config: Mapped[dict[str, Any]]
    """As it was posted."""
    resolved: Mapped[dict[str, Any]]
    """With every value that was not given; data sets by name."""
    priority: Mapped[int] = mapped_column(default=PRIORITY)
    needs: Mapped[Need] = mapped_column(default=Need.ANY)
    attempt: Mapped[int] = mapped_column(default=0)
    """Raised by every claim; a worker's writes name theirs."""
    lost: Mapped[int] = mapped_column(default=0)
    """How many of the attempts ended by a lease that ran out."""
    worker: Mapped[str | None] = mapped_column(String(200))
    """Who holds it, None while nobody does."""
    lease_expires_at: Mapped[float | None]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    """When the first attempt began."""
    ended_at: Mapped[float | None]
    announced_at: Mapped[float | None]
    """When the broker was last told, None if it has to be."""
    held_up: Mapped[str | None] = mapped_column(String(200))
    """Why a worker that looked could not take it; gone with the next claim."""
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    stop_requested: Mapped[bool] = mapped_column(default=False)
    """Whether it should evaluate and export what it has, and end well."""
    timeout_s: Mapped[float | None]
    """How long it may work before it is ended, attempts together; None for as long as it takes."""
    deadline_at: Mapped[float | None]
    """When that is over; set by its first claim since it was posted or resumed."""
    retry_of: Mapped[str | None] = mapped_column(String(36))
    """The job that it does again; that one may be deleted meanwhile."""
    checkpoint: Mapped[dict[str, Any] | None]
    """What another host goes on from; see `worker.checkpoints`."""
    pruned_at: Mapped[float | None]
    """When its files were given up: nothing of it can be resumed."""
    progress: Mapped[dict[str, Any] | None]
    """The latest `progress` event's fields."""
    result: Mapped[dict[str, Any] | None]
    """The `finished` event's metrics."""
    error: Mapped[dict[str, Any] | None]
    """{"reason", "message", "log": the last lines}, of a failed job."""
    event_seq: Mapped[int] = mapped_column(default=0)
    """The last event of the run that is stored."""
    stream_seq: Mapped[int] = mapped_column(default=0)
    """The number of its last event; see `worker.store.events`."""
    log_lines: Mapped[int] = mapped_column(default=0)
    """How many lines of its log are stored."""
    callback_url: Mapped[str | None] = mapped_column(String(2000))
    """Is told when the job ends; see `worker.callbacks`."""
    idempotency_key: Mapped[str | None] = mapped_column(String(200), unique=True)
    body_sha256: Mapped[str] = mapped_column(String(64))
    """Of kind and config as posted, to tell a repeated post from another."""


class Transition(Table):
    """One step of a job, never changed."""

    __tablename__ = "job_transitions"
    __table_args__ = (Index("transitions_by_job", "job_id", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    at: Mapped[float]
    old: Mapped[State | None]
    """None for the job's first."""
    new: Mapped[State]
    attempt: Mapped[int]
    worker: Mapped[str | None] = mapped_column(String(200))
    """Who made it, where a worker did."""
    reason: Mapped[str] = mapped_column(String(500))


class Epoch(Table):
    """The metrics of one epoch; one that ran again after a resume replaces its entry."""

    __tablename__ = "job_epochs"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry: Mapped[dict[str, Any]]


class Artifact(Table):
    """A file that a job left in the artifact store."""

    __tablename__ = "artifacts"

    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(300), primary_key=True)
    key: Mapped[str] = mapped_column(String(500))
    """Its place below the artifact store's URL."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[float]


class Model(Table):
    """A name under which versions of a student are kept."""

    __tablename__ = "models"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    created_at: Mapped[float]


class Version(Table):
    """One student of a model; never changed."""

    __tablename__ = "versions"
    __table_args__ = (
        # A job that was resumed after its end leaves another file of the same branch.
        UniqueConstraint(
            "model", "job_id", "branch", "variant", "sha256", name="one_version_a_file"
        ),
    )

    model: Mapped[str] = mapped_column(ForeignKey("models.name"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(500))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    card: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    receipt: Mapped[dict[str, Any] | None]
    """The evidence, as `model.receipt` wrote it; None for a file that came without."""
    job_id: Mapped[str | None] = mapped_column(ForeignKey("jobs.id"))
    branch: Mapped[str] = mapped_column(String(64))
    """Which of its job's students it is."""
    variant: Mapped[str] = mapped_column(String(16))
    """The numbers that it computes with: fp32, fp16 or int8."""
    created_at: Mapped[float]


class Promotion(Table):
    """A line of the log of who promoted or rolled back what, when and why; only ever added to.

    `production` is its last line's version.
    """

    __tablename__ = "promotions"
    __table_args__ = (
        ForeignKeyConstraint(["model", "version"], ["versions.model", "versions.version"]),
        Index("promotions_by_model", "model", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    at: Mapped[float]
    who: Mapped[str] = mapped_column(String(200))
    why: Mapped[str] = mapped_column(String(1000))
    action: Mapped[str] = mapped_column(String(16), server_default="promote")
    """promote or rollback."""
    gate: Mapped[dict[str, Any] | None]
    """What `worker.gate` found, with the numbers; None where it was not asked."""


class Dataset(Table):
    """A version of a labelled set, as it was when it came; its number is never given again."""

    __tablename__ = "datasets"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    format: Mapped[str] = mapped_column(String(16))
    path: Mapped[str] = mapped_column(String(1000))
    """Relative to the data folder."""
    content: Mapped[str | None] = mapped_column(String(64))
    """SHA-256 over an uploaded set's files; None for a path that somebody registered."""
    splits: Mapped[dict[str, Any]]
    """For each split its counts: people, images, joints."""
    problems: Mapped[list[Any]]
    """What a person should know, one sentence each."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    validation: Mapped[str | None] = mapped_column(String(36))
    """The job that looks at every picture, where one was posted with the upload."""
    created_at: Mapped[float]
    deleted_at: Mapped[float | None]
    """The row stays: who names the version learns what became of it."""

    @property
    def reference(self) -> str:
        """What means this version for ever."""
        return f"{self.name}:{self.version}"


class ApiKey(Table):
    """Who may ask for what; never deleted, so that a name in a log means one key for ever."""

    __tablename__ = "api_keys"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str] = mapped_column(String(16))
    """One of `worker.roles.Role`."""
    sha256: Mapped[str] = mapped_column(String(64))
    """Of the key's text, which is stored nowhere."""
    created_at: Mapped[float]
    revoked_at: Mapped[float | None]

"""What /jobs takes and answers."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from worker.jobs import KINDS
from worker.store import PRIORITY, Need, State

_DEEPEST: Final = 20
_MOST: Final = 2_000
YEAR_S: Final = 365 * 24 * 3600.0


def _modest(config: dict[str, Any]) -> dict[str, Any]:
    """No configuration is so deep or long; one that is would keep a core busy with its faults."""
    level: list[Any] = [config]
    count = 0
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below += value.values()
            elif isinstance(value, list):
                below += value
        count += len(below)
        if count > _MOST:
            raise ValueError(f"holds more than {_MOST:,} values")
        if not below:
            return config
        level = below
    raise ValueError(f"is nested more than {_DEEPEST} deep")


_EXAMPLES: Final[list[Any]] = [
    {"kind": "distill", "config": {"preset": "tiny"}},
    *({"kind": name, "config": dict(kind.example)} for name, kind in KINDS.items()),
]


class JobPost(BaseModel):
    """A job to do."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": _EXAMPLES,
        },
    )

    kind: str = Field(max_length=64, description=f"one of {', '.join(KINDS)}")
    config: Annotated[dict[str, Any], AfterValidator(_modest)] = Field(
        default_factory=dict, description="what to do; checked whole before the job is accepted"
    )
    timeout_s: float | None = Field(
        None,
        gt=0,
        le=YEAR_S,
        description="how long it may work; then it fails with the reason `timeout`. "
        "The operator may have set a lower limit",
    )
    priority: int = Field(
        PRIORITY, ge=0, le=9, description="of the jobs that wait the highest goes first"
    )
    needs: Need | None = Field(
        None,
        description="the device for it, or for its parts where it has some; by default a training "
        "takes `any` and all else the `cpu`",
    )
    callback_url: str | None = Field(
        None,
        max_length=2000,
        description="is sent a POST when the job ends; of a host that the operator allowed",
    )


class JobResume(BaseModel):
    """How an ended job goes on."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{}]})

    epochs: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="how many there are to be in all; by default what its configuration says",
    )


class Progress(BaseModel):
    """How far a running job is."""

    epoch: int | None = Field(None, description="null for a job that trains nothing")
    epochs: int | None = None
    step: int = Field(description="of the whole run; of photographs, how many are finished")
    steps: int
    loss: dict[str, float | None] = Field(default_factory=dict)
    images_per_s: float | None
    seconds_left: float | None


class Metrics(BaseModel):
    """What was measured, on the validation data."""

    latest: dict[str, Any] | None = Field(description="the last entry of `history`")
    best: dict[str, Any] | None = Field(description="epoch, branch, metric and value")
    history: list[dict[str, Any]] = Field(
        description="one entry an epoch: `epoch`, `loss` by part, `branches` by name, `ensemble`"
    )


class ArtifactEntry(BaseModel):
    """A file that the job made."""

    name: str = Field(examples=["students/branch0.onnx"])
    url: str
    bytes: int
    sha256: str


class Failure(BaseModel):
    """Why a job failed, for a person to act on."""

    reason: str
    message: str
    log: list[str] = Field(description="the last lines of the run")


class Step(BaseModel):
    """One transition of a job."""

    at: datetime
    old: State | None
    new: State
    attempt: int
    worker: str | None
    reason: str


class Child(BaseModel):
    """A job that is a part of another."""

    id: str
    name: str = Field(description="what it is called there", examples=["okdhp-s0"])
    state: State
    url: str


class JobEntry(BaseModel):
    """A job in a list."""

    id: str
    kind: str
    state: State
    url: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    attempt: int = Field(description="how often a worker took it")
    worker: str | None = Field(description="who works on it")
    cancel_requested: bool
    stop_requested: bool = Field(description="whether it is to evaluate and export what it has")
    timeout_s: float | None = Field(description="how long it may work")
    priority: int = Field(description="0 to 9; of the jobs that wait the highest goes first")
    needs: Need = Field(description="the device that it waits for, or runs on")
    progress: Progress | None
    parent: str | None = Field(description="the job that it is a part of")
    retry_of: str | None = Field(description="the job that it repeats")
    pruned_at: datetime | None = Field(
        description="when its files were given up to make room: it cannot be resumed"
    )
    notice: str | None = Field(
        None, description="what to know about a job that waits: no worker runs here, or for what"
    )


class JobDocument(JobEntry):
    """All about a job."""

    metrics: Metrics
    artifacts: list[ArtifactEntry]
    children: list[Child] = Field(description="its parts, which it waits for")
    error: Failure | None
    result: dict[str, Any] | None = Field(description="the final metrics, once it has ended well")
    history: list[Step] = Field(description="every transition")
    actions: list[str] = Field(description="what can be done with it now")
    config: dict[str, Any] = Field(description="as posted")
    resolved: dict[str, Any] = Field(description="with every default")


class JobList(BaseModel):
    """A page of jobs, newest first."""

    jobs: list[JobEntry]
    next: str | None = Field(description="`cursor` of the next page; null at the end")


class ArtifactList(BaseModel):
    """The files that a job made."""

    artifacts: list[ArtifactEntry]

"""Why a job failed, in a few words that a person can act on."""

import errno
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.errors import (
    CheckpointUnusable,
    ComparisonImpossible,
    ConfigError,
    DatasetError,
    DiskFull,
    ModelUnusable,
    PoseError,
    ProcessLost,
    ReceiptUnusable,
    TrainingDiverged,
)
from worker.errors import (
    ArtifactUnusable,
    DatasetNotFound,
    ModelNotFound,
    NotInstalled,
    VersionNotFound,
)

REASONS: Final[Mapping[type[PoseError], str]] = {
    ConfigError: "bad configuration",
    DatasetError: "bad data",
    DatasetNotFound: "bad data",
    ComparisonImpossible: "nothing to compare with",
    TrainingDiverged: "NaN loss",
    DiskFull: "disk full",
    ProcessLost: "out of memory or killed",
    CheckpointUnusable: "bad checkpoint",
    ModelUnusable: "bad model",
    ReceiptUnusable: "bad receipt",
    ModelNotFound: "bad model",
    VersionNotFound: "bad model",
    ArtifactUnusable: "lost file",
    NotInstalled: "not installed",
}


@dataclass(frozen=True)
class Failure:
    """reason: a few words, the same for the same cause; message: what happened."""

    reason: str
    message: str


def failure_of(error: BaseException) -> Failure:
    """What an exception means to the person who posted the job."""
    if isinstance(error, PoseError):
        known = (REASONS[c] for c in type(error).__mro__ if c in REASONS)
        return Failure(next(known, "error"), str(error))
    # torch's own class, which this file must not import
    if type(error).__name__ == "OutOfMemoryError":
        return Failure("GPU out of memory", f"{error}; try a smaller training.batch_size")
    if isinstance(error, MemoryError):
        return Failure("out of memory", "the process could not get more memory")
    if isinstance(error, ModuleNotFoundError):
        return Failure("not installed", f"the worker lacks the package {error.name}")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Failure("disk full", "there is no space left on the worker's disk")
    return Failure("unexpected error", f"{type(error).__name__}: {error}")


def timeout(limit_s: float | None) -> Failure:
    """Of a job that worked longer than it may."""
    limit = f"its limit of {limit_s:g} s" if limit_s is not None else "its limit"
    message = f"it worked longer than {limit}; resumed, it goes on from its last checkpoint"
    return Failure("timeout", message)


def failure_of_exit(status: int, last_event: Mapping[str, Any] | None) -> Failure:
    """What a child's exit status means; −N is signal N. Its own last word comes first."""
    if last_event is not None and last_event["kind"] == "failed":
        return Failure(str(last_event.get("reason")), str(last_event.get("message")))
    if status == -signal.SIGKILL:
        return Failure(
            "out of memory or killed", "the process was killed (signal 9), most often for memory"
        )
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else ""
        return Failure("crashed", f"the process was ended by signal {-status} {name}".rstrip())
    return Failure("crashed", f"the process ended with status {status}")

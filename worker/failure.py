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

DISK_FULL: Final = 73
"""Exit status of a child that found no room even for saying so (sysexits.h: EX_CANTCREAT)."""

OUT_OF_MEMORY: Final = "out of memory"
GPU_OUT_OF_MEMORY: Final = "GPU out of memory"
KILLED: Final = "killed"

REASONS: Final[Mapping[type[PoseError], str]] = {
    ConfigError: "bad configuration",
    DatasetError: "bad data",
    DatasetNotFound: "bad data",
    ComparisonImpossible: "nothing to compare with",
    TrainingDiverged: "NaN loss",
    DiskFull: "disk full",
    ProcessLost: KILLED,
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
        return Failure(GPU_OUT_OF_MEMORY, str(error))
    if isinstance(error, MemoryError):
        return Failure(OUT_OF_MEMORY, "the process could not get more memory")
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


def failure_of_exit(
    status: int,
    last_event: Mapping[str, Any] | None,
    *,
    for_memory: bool = False,
    batch_size: int | None = None,
) -> Failure:
    """What a child's exit status means; −N is signal N. Its own last word comes first.

    for_memory: whether the kernel killed it for memory, as far as that can be told. batch_size:
    of the training, where it was one.
    """
    failure = _failure_of_exit(status, last_event)
    if failure.reason == KILLED and for_memory:
        failure = Failure(OUT_OF_MEMORY, f"{failure.message}, for memory")
    if failure.reason in (OUT_OF_MEMORY, GPU_OUT_OF_MEMORY) and batch_size is not None:
        return Failure(failure.reason, f"{failure.message}; {_advice(batch_size)}")
    return failure


def _failure_of_exit(status: int, last_event: Mapping[str, Any] | None) -> Failure:
    if last_event is not None and last_event["kind"] == "failed":
        return Failure(str(last_event.get("reason")), str(last_event.get("message")))
    if status == DISK_FULL:
        return Failure("disk full", "there is no space left on the worker's disk")
    if status == -signal.SIGKILL:
        return Failure(KILLED, "the process was killed (signal 9)")
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else ""
        return Failure("crashed", f"the process was ended by signal {-status} {name}".rstrip())
    return Failure("crashed", f"the process ended with status {status}")


def batch_size_of(config: Mapping[str, Any]) -> int | None:
    """People a step of a training's configuration; None of others, or where the device decides."""
    training = config.get("training")
    return training.get("batch_size") or None if isinstance(training, Mapping) else None


def _advice(batch_size: int) -> str:
    if batch_size < 2:
        return "training.batch_size is 1 already: try a smaller network or crop"
    return f"try training.batch_size {batch_size // 2} (it was {batch_size})"

"""What a job kind is: four steps, in the service, the worker, the child, and the worker again.

A job may have parts: jobs of their own that any worker takes. It waits in the queue until all of
them have ended, and its own work begins with what they left.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from model.errors import ConfigError, Fault
from worker.store.parts import NewPart
from worker.store.tables import Job, Need, Version

if TYPE_CHECKING:
    from worker.stores import Stores


@dataclass(frozen=True)
class Work:
    """What the child process is given."""

    spec: Mapping[str, Any]
    """As `JobKind.prepare` and `gathered` made it."""
    run_dir: Path
    resume: bool
    """Whether an earlier attempt worked in the run folder."""
    device: str
    cache: Path
    """Where cut-out people are kept for the next job on the same data."""
    stop: Callable[[], bool]
    """True once the work should save what it has and end."""


class JobKind(ABC):
    """One kind of job; `worker.jobs.KINDS` names them all."""

    example: ClassVar[Mapping[str, Any]]
    """A configuration that could be posted, for the API's documentation."""

    trains: ClassVar[bool] = False
    """Whether it goes on epoch by epoch: it can end early, and go on after its end."""

    needs: ClassVar[Need] = Need.CPU
    """What device it is given where its post did not say."""

    @abstractmethod
    def resolve(self, config: Mapping[str, Any], stores: "Stores") -> dict[str, Any]:
        """In the service, before the job is written: the whole configuration, checked.

        It also takes what it gave: a job that is resumed is checked again.
        Names of data sets and models stay names, models with their version.
        Raises ConfigError, DatasetNotFound, ModelNotFound, VersionNotFound.
        """

    def parts(self, resolved: Mapping[str, Any], stores: "Stores") -> Sequence[NewPart]:
        """In the service: the jobs that are queued with it and that it waits for; most have none.

        Raises as `resolve` does.
        """
        return ()

    def resumed(self, job: Job, epochs: int | None, trained: int) -> dict[str, Any]:
        """In the service: the resolved configuration with which an ended job goes on.

        epochs: how many there are to be in all, where it was said; trained: how many there are.
        Raises ConfigError.
        """
        if epochs is not None:
            raise ConfigError([Fault("epochs", f"a job of kind {job.kind} has none", "null")])
        return job.resolved

    @abstractmethod
    def prepare(self, resolved: Mapping[str, Any], stores: "Stores") -> dict[str, Any]:
        """On the worker, before the child starts: JSON with this host's paths for every name.

        Raises any PoseError: the job fails with its message.
        """

    def gathered(self, parts: Sequence[Job], stores: "Stores") -> dict[str, Any]:
        """On the worker, after `prepare`: what is added to it of the parts, which have all ended.

        Raises any PoseError: the job fails with its message.
        """
        return {}

    @abstractmethod
    def run(self, work: Work) -> bool:
        """In the child: do it, writing events into the run folder. False if it was stopped.

        Raises any PoseError: the job fails with its message.
        """

    def product(self, job: Job, run_dir: Path, stores: "Stores") -> Version | None:
        """On the worker, when the child ended well: the model version to register, if any."""
        return None

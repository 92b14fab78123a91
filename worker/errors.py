"""What can be wrong with a request about jobs, models, data sets or their stores."""

from collections.abc import Collection, Sequence
from typing import Final

from model.errors import Fault, PoseError

_NAMED: Final = 10


class StoreUnusable(PoseError):
    """The database cannot be used by this version."""


class JobNotFound(PoseError):
    """No job has this id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r}")
        self.job_id = job_id


class ClaimRefused(PoseError):
    """The job is not waiting for a worker: a message about it came twice or too late."""


class LeaseLost(PoseError):
    """A worker wrote to a job that is no longer its own."""

    def __init__(self, job_id: str, attempt: int, now: str) -> None:
        super().__init__(f"job {job_id}: attempt {attempt} has lost it; {now}")
        self.job_id, self.attempt = job_id, attempt


class ActionRefused(PoseError):
    """The action makes no sense in the job's state."""

    def __init__(
        self, job_id: str, action: str, state: str, possible: Collection[str], why: str = ""
    ) -> None:
        """why: what else than the state forbids it."""
        offer = ", ".join(possible) or "none"
        found = f"it is {state}" + (f", and {why}" if why else "")
        super().__init__(f"cannot {action} job {job_id}: {found}; possible actions: {offer}")
        self.job_id, self.action, self.state = job_id, action, state
        self.possible = tuple(possible)


class JobInUse(PoseError):
    """Something that is still wanted came from the job, or needs its files."""

    def __init__(self, job_id: str, users: Sequence[str]) -> None:
        shown = ", ".join(users[:_NAMED])
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        super().__init__(
            f"job {job_id} is needed by {shown}{more}; with force=true it is deleted all the same"
        )
        self.users = tuple(users)


class TransitionRefused(PoseError):
    """The table of states does not let this follow that."""

    def __init__(self, job_id: str, old: str, new: str) -> None:
        super().__init__(f"job {job_id}: {new} cannot follow {old}")


class KindUnknown(PoseError):
    """No job kind has this name."""

    def __init__(self, kind: str, known: Collection[str], nearest: str = "") -> None:
        hint = f"; did you mean {nearest}?" if nearest else ""
        super().__init__(f"unknown job kind {kind!r}; accepted: {', '.join(known)}{hint}")
        self.kind, self.known, self.nearest = kind, tuple(known), nearest


class IdempotencyConflict(PoseError):
    """An idempotency key came again with another body."""

    def __init__(self, key: str, job_id: str) -> None:
        super().__init__(
            f"idempotency key {key!r} belongs to job {job_id}, which was posted with another body"
        )
        self.key, self.job_id = key, job_id


class ArtifactNotFound(PoseError):
    """A job has no artifact of this name."""


class ArtifactUnusable(PoseError):
    """A stored file is gone or damaged, or a name leaves its folder."""


class NameInvalid(PoseError):
    """A model's or data set's name has characters that are not accepted."""


class ModelNotFound(PoseError):
    """No model has this name, or none is in production."""


class VersionNotFound(PoseError):
    """The model has no version of this number."""


class ReceiptNotFound(PoseError):
    """The version's file was registered without a receipt."""


class PromotionRefused(PoseError):
    """The gate found a version short of what the operator demands; `force` passes it over."""

    def __init__(self, name: str, version: int, faults: Sequence[Fault]) -> None:
        super().__init__(
            f"the gate refuses {name}:{version}: " + "; ".join(str(fault) for fault in faults)
        )
        self.faults = tuple(faults)


class RollbackImpossible(PoseError):
    """The model is not in production, or nothing was before it."""


class DatasetNotFound(PoseError):
    """No data set is registered under this name."""


class DatasetExists(PoseError):
    """The name is taken by another data set."""


class DatasetInUse(PoseError):
    """Jobs that have not ended learn from the data set, or are measured on it."""

    def __init__(self, reference: str, users: Sequence[tuple[str, str]]) -> None:
        """users: (id, state) of the jobs."""
        shown = ", ".join(f"{job_id} ({state})" for job_id, state in users[:_NAMED])
        more = f" and {len(users) - _NAMED} more" if len(users) > _NAMED else ""
        super().__init__(
            f"data set {reference!r} is used by job {shown}{more}: cancel, or wait until they end"
        )
        self.users = tuple(users)


class ArchiveRefused(PoseError):
    """An uploaded archive is damaged, too large, or holds what is written nowhere."""


class NotInstalled(PoseError):
    """Packages that the work needs are not installed here."""


class BrokerUnusable(PoseError):
    """No broker is set, or the embedded one did not start."""


class KeyNotFound(PoseError):
    """No API key has this name."""


class KeyExists(PoseError):
    """The name belongs to another API key, perhaps to a revoked one."""

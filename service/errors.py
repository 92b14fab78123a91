"""The service's own errors, and the one map from errors to statuses.

A problem's `type` is stable: programs may compare it.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from model import errors as model_errors
from model.errors import Fault, PoseError
from worker import errors as worker_errors


class RequestInvalid(PoseError):
    """A request's parameters are not what the route takes."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


class MediaTypeUnsupported(PoseError):
    """The body is of a kind that the route does not take."""


class ModelInProduction(PoseError):
    """What answers by default cannot be unloaded."""


class KeyMissing(PoseError):
    """The request needs an API key and has none that is known."""


class OriginForeign(PoseError):
    """A page of another site wants to change something."""


class RoleMissing(PoseError):
    """The key's role does not include what was asked for."""


class TensorInvalid(PoseError):
    """A request of the Open Inference Protocol is not what the model takes."""


class NotReady(PoseError):
    """No model is loaded yet, or the runtime is not the one that was asked for."""


class QueueFull(PoseError):
    """More requests than may wait."""


class DeadlinePassed(PoseError):
    """The time within which an answer was wanted is over."""


class Kind(NamedTuple):
    """What a problem document says about its kind."""

    status: int
    slug: str  # of the `type`
    title: str


STATUS: Final[Mapping[type[PoseError], Kind]] = {
    model_errors.ImageUnreadable: Kind(415, "image-unreadable", "The image cannot be read"),
    model_errors.ImageTooLarge: Kind(413, "image-too-large", "The image has too many pixels"),
    model_errors.BoxInvalid: Kind(422, "box-invalid", "A box is not usable"),
    model_errors.DatasetError: Kind(422, "dataset-invalid", "The data set is not usable"),
    model_errors.ConfigError: Kind(422, "config-invalid", "The configuration is not valid"),
    model_errors.ModelUnusable: Kind(409, "model-unusable", "The model cannot run here"),
    model_errors.CheckpointUnusable: Kind(409, "checkpoint-unusable", "The checkpoint is unusable"),
    model_errors.ComparisonImpossible: Kind(
        409, "comparison-impossible", "There is nothing to compare with"
    ),
    model_errors.ReceiptUnusable: Kind(409, "receipt-unusable", "The receipt is unusable"),
    model_errors.TrainingDiverged: Kind(409, "training-diverged", "The training diverged"),
    model_errors.DiskFull: Kind(503, "disk-full", "There is no space left"),
    model_errors.ProcessLost: Kind(409, "process-lost", "A process of the training ended"),
    worker_errors.JobNotFound: Kind(404, "job-unknown", "There is no such job"),
    worker_errors.ArtifactNotFound: Kind(404, "artifact-unknown", "The job has no such file"),
    worker_errors.ModelNotFound: Kind(404, "model-unknown", "There is no such model"),
    worker_errors.VersionNotFound: Kind(404, "version-unknown", "The model has no such version"),
    worker_errors.ReceiptNotFound: Kind(404, "receipt-unknown", "The version has no receipt"),
    worker_errors.PromotionRefused: Kind(409, "promotion-refused", "The gate refuses the version"),
    worker_errors.RollbackImpossible: Kind(
        409, "rollback-impossible", "There is nothing to go back to"
    ),
    worker_errors.DatasetNotFound: Kind(404, "dataset-unknown", "There is no such data set"),
    worker_errors.KindUnknown: Kind(422, "job-kind-unknown", "There is no such kind of job"),
    worker_errors.NameInvalid: Kind(422, "name-invalid", "The name is not accepted"),
    worker_errors.ActionRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.JobInUse: Kind(409, "job-in-use", "Something needs the job"),
    worker_errors.TransitionRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.ClaimRefused: Kind(409, "action-refused", "The job's state forbids it"),
    worker_errors.LeaseLost: Kind(409, "lease-lost", "The job belongs to another worker"),
    worker_errors.IdempotencyConflict: Kind(
        409, "idempotency-conflict", "The key belongs to another request"
    ),
    worker_errors.DatasetExists: Kind(409, "dataset-exists", "The name is taken"),
    worker_errors.DatasetInUse: Kind(409, "dataset-in-use", "Jobs use the data set"),
    worker_errors.ArchiveRefused: Kind(422, "archive-refused", "The archive is refused"),
    worker_errors.ArtifactUnusable: Kind(410, "artifact-gone", "The stored file is not usable"),
    worker_errors.KeyNotFound: Kind(404, "key-unknown", "There is no such key"),
    worker_errors.KeyExists: Kind(409, "key-exists", "The name is taken"),
    worker_errors.NotInstalled: Kind(409, "not-installed", "Packages are missing here"),
    worker_errors.StoreUnusable: Kind(503, "store-unusable", "The store cannot be used now"),
    worker_errors.BrokerUnusable: Kind(503, "broker-unusable", "The broker cannot be used now"),
    ModelInProduction: Kind(409, "model-in-production", "The model is in production"),
    RequestInvalid: Kind(422, "request-invalid", "The request is not valid"),
    MediaTypeUnsupported: Kind(415, "media-type-unsupported", "The body is of an unknown kind"),
    QueueFull: Kind(429, "queue-full", "Too many requests wait already"),
    DeadlinePassed: Kind(504, "deadline-passed", "The answer would have come too late"),
    KeyMissing: Kind(401, "key-missing", "An API key is needed"),
    RoleMissing: Kind(403, "role-missing", "The key may not do this"),
    OriginForeign: Kind(403, "origin-foreign", "Another site's page may not do this"),
    TensorInvalid: Kind(400, "tensor-invalid", "The tensors are not what the model takes"),
    NotReady: Kind(503, "not-ready", "Not ready to answer yet"),
}

FRAMEWORK: Final[Mapping[int, Kind]] = {
    400: Kind(400, "request-malformed", "The request cannot be parsed"),
    404: Kind(404, "route-unknown", "There is nothing at this address"),
    405: Kind(405, "method-not-allowed", "The address does not take this method"),
    408: Kind(408, "body-too-slow", "The body came too slowly"),
    413: Kind(413, "body-too-large", "The body is too large"),
    431: Kind(431, "head-too-large", "The request's head is too large"),
}
INTERNAL: Final = Kind(500, "internal", "The server made a mistake")


def kind_of(error: PoseError) -> Kind | None:
    """The entry of `STATUS` of an error's class, or of its nearest base there."""
    return next((STATUS[c] for c in type(error).__mro__ if c in STATUS), None)

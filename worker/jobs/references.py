"""What a job begins with, is taught by and believes: registered models and other jobs, by name."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.errors import ConfigError, Fault
from worker.errors import ArtifactNotFound, JobNotFound, ModelNotFound, VersionNotFound
from worker.names import is_id, is_name
from worker.stores import Stores


@dataclass(frozen=True)
class Reference:
    """A key of a training's configuration that names something else's result."""

    where: str
    kind: str  # of the job
    artifact: str  # of that job
    models: bool  # whether it may name a registered model as well

    @property
    def accepted(self) -> str:
        job = f"the id of {'an' if self.kind[0] in 'aeiou' else 'a'} {self.kind} job that succeeded"
        return f"a registered model (NAME or NAME:VERSION), or {job}" if self.models else job


REFERENCES: Final = (
    Reference("training.init", kind="distill", artifact="best.pt", models=True),
    Reference("scheme.teacher", kind="distill", artifact="best.pt", models=False),
    Reference("data.weights", kind="audit", artifact="weights.npz", models=False),
)


def pinned(config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
    """A configuration's tree whose references are there; models with their version.

    A path or URL is refused: it would be the server's. Raises ConfigError.
    """
    return replaced(config, lambda reference, text: pin(reference, text, stores))


def placed(config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
    """The tree with paths of this host for every reference. Raises as `place` does."""
    return replaced(config, lambda reference, text: str(place(reference, text, stores)))


def replaced(config: Mapping[str, Any], other: Callable[[Reference, str], str]) -> dict[str, Any]:
    """The tree with something else for every reference."""
    tree = copy.deepcopy(dict(config))
    for reference in REFERENCES:
        part, key = reference.where.split(".")
        text = tree[part].get(key)
        if text is not None:
            tree[part][key] = other(reference, text)
    return tree


def pin(reference: Reference, text: str, stores: Stores) -> str:
    """What is stored with a job: a model with its version, a job by its id. Raises ConfigError."""
    if is_id(text):
        _check_job(reference, text, stores)
        return text
    if not reference.models or "/" in text or not is_name(text.partition(":")[0]):
        raise _refused(reference, f"found {text!r}")
    try:
        version = stores.registry.resolve(text)
    except (ModelNotFound, VersionNotFound) as error:
        raise _refused(reference, str(error)) from None
    return f"{version.model}:{version.version}"


def place(reference: Reference, text: str, stores: Stores) -> Path:
    """The file on this host of what `pin` gave.

    Raises ModelNotFound, VersionNotFound, ArtifactNotFound, ArtifactUnusable.
    """
    if is_id(text):
        artifact = stores.jobs.artifact(text, reference.artifact)
        return stores.artifacts.fetch(artifact.key, artifact.sha256)
    version = stores.registry.resolve(text)
    return stores.registry.open_local(version.model, version.version)


def _check_job(reference: Reference, job_id: str, stores: Stores) -> None:
    """Raises ConfigError unless it is a job of the right kind with a result."""
    try:
        job = stores.jobs.get(job_id)
    except JobNotFound as error:
        raise _refused(reference, str(error)) from None
    if job.kind != reference.kind:
        raise _refused(reference, f"job {job_id} is of kind {job.kind}")
    try:
        stores.jobs.artifact(job_id, reference.artifact)
    except ArtifactNotFound:
        fault = f"job {job_id} has no {reference.artifact}: it is {job.state}"
        raise _refused(reference, fault) from None


def _refused(reference: Reference, problem: str) -> ConfigError:
    return ConfigError([Fault(reference.where, problem, reference.accepted)])

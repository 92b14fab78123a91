"""Which student a job is about: a registered version, or a branch of a distillation."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.config import load_config
from model.errors import ConfigError, Fault
from model.files import write_json
from model.receipt import beside
from worker.jobs.references import Reference, pin
from worker.names import receipt_file, student_file
from worker.store.tables import Job
from worker.stores import Stores

TRAINING: Final = "distill"
"""The kind of job that leaves branches."""
WEIGHTS: Final = "best.pt"
_JOB: Final = Reference("job", kind=TRAINING, artifact=WEIGHTS, models=False)
_RECORDS: Final = ("metrics.json", "manifest.json")


class StudentConfig(BaseModel):
    """The keys of a job's configuration that say which student."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None,
        description="`name`, `name:version` or `name@variant`; without it, and without a job: "
        "the one in production",
    )
    job: str | None = Field(None, description="id of a distill job, whether registered or not")
    branch: str | None = Field(None, description="of the job's branches; its best by default")

    @model_validator(mode="after")
    def _one_student(self) -> Self:
        if self.model is not None and self.job is not None:
            raise ValueError("names both `model` and `job`; accepted: one of them")
        if self.branch is not None and self.job is None:
            raise ValueError("`branch` is of a `job`, which is missing")
        return self


def pinned_student(asked: StudentConfig, stores: Stores) -> dict[str, Any]:
    """What is stored with a job: the version's number, or the job's branch.

    Raises ModelNotFound, VersionNotFound, ConfigError.
    """
    if asked.job is None:
        version = stores.registry.resolve(asked.model)
        return {"model": f"{version.model}:{version.version}", "job": None, "branch": None}
    job = finished_job(asked.job, stores)
    branch = asked.branch or _best(job, stores)
    names = load_config(job.resolved).network.branch_names
    if branch not in names:
        fault = f"job {job.id} has no branch {branch!r}"
        raise ConfigError([Fault("branch", fault, ", ".join(names))])
    return {"model": None, "job": job.id, "branch": branch}


def finished_job(job_id: str, stores: Stores) -> Job:
    """A distillation that left weights. Raises ConfigError."""
    return stores.jobs.get(pin(_JOB, job_id, stores))


def placed_student(pinned: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
    """The same for the child, with paths of this host: a file, or weights to make it of.

    Raises ModelNotFound, VersionNotFound, JobNotFound, ArtifactNotFound, ArtifactUnusable.
    """
    if pinned["model"] is not None:
        version = stores.registry.resolve(pinned["model"])
        onnx = stores.registry.open_local(version.model, version.version)
        return {"name": version.branch, "onnx": str(onnx), "receipt": version.receipt}
    there = {artifact.name: artifact for artifact in stores.jobs.artifacts(pinned["job"])}
    branch = pinned["branch"]
    student, evidence = there.get(student_file(branch)), there.get(receipt_file(branch))
    if student is None:
        return {"name": branch, "run": placed_run(pinned["job"], stores)}
    receipt = None
    if evidence is not None:
        path = stores.artifacts.fetch(evidence.key, evidence.sha256)
        receipt = json.loads(path.read_text("utf-8"))
    onnx = stores.artifacts.fetch(student.key, student.sha256)
    return {"name": branch, "onnx": str(onnx), "receipt": receipt}


def placed_run(job_id: str, stores: Stores) -> dict[str, Any]:
    """What a job left of its run, with paths of this host. Raises as `placed_student`."""
    weights = stores.jobs.artifact(job_id, WEIGHTS)
    records = [a for a in stores.jobs.artifacts(job_id) if a.name in _RECORDS]
    return {
        "job": job_id,
        "config": stores.jobs.get(job_id).resolved,
        "weights": str(stores.artifacts.fetch(weights.key, weights.sha256)),
        "records": {a.name: str(stores.artifacts.fetch(a.key, a.sha256)) for a in records},
    }


def open_student(placed: Mapping[str, Any], folder: Path) -> Path:
    """In the child: the student's ONNX file in `folder`, with its receipt beside it if it has one.

    Raises CheckpointUnusable.
    """
    file = folder / student_file(placed["name"])
    folder.mkdir(parents=True, exist_ok=True)
    if "run" in placed:
        from model.training.outcome.finish import export_branch  # torch: in the child alone

        export_branch(open_run(placed["run"], folder), placed["name"], file)
        return file
    shutil.copyfile(placed["onnx"], file)
    if placed["receipt"] is not None:
        write_json(beside(file), placed["receipt"])
    return file


def open_run(placed: Mapping[str, Any], folder: Path) -> Path:
    """In the child: a run's folder as its job left it, called after the job."""
    from model.training.start.begin import BEST  # torch: in the child alone

    run_dir = folder / str(placed["job"])
    (run_dir / BEST).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(placed["weights"], run_dir / BEST)
    for name, path in placed["records"].items():
        shutil.copyfile(path, run_dir / name)
    write_json(run_dir / "config.yaml", placed["config"])  # JSON is YAML
    return run_dir


def _best(job: Job, stores: Stores) -> str:
    best = stores.jobs.metrics(job)["best"]
    if best is None:
        names = ", ".join(load_config(job.resolved).network.branch_names)
        raise ConfigError([Fault("branch", f"is missing: job {job.id} tells no best", names)])
    return str(best["branch"])

"""Make a file of any student, in float32 or fewer bits, and register it with what it measures."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from model.config import SourceConfig, load_config, validated
from model.config.data import DataConfig
from model.errors import ConfigError, Fault
from model.judges import chosen_people
from model.precisions import FULL, Precision
from model.receipt import Receipt, beside, measured
from model.training.events import EVENTS, EventLog
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, placed_source
from worker.jobs.students import (
    TRAINING,
    StudentConfig,
    open_student,
    pinned_student,
    placed_student,
)
from worker.names import checked_name
from worker.registry import read_card
from worker.store.tables import Job, Version
from worker.stores import Stores


class ExportConfig(StudentConfig):
    """What a posted `export` job says."""

    variant: Precision = Field(FULL, description="what the file computes with")
    calibrate: SourceConfig | None = Field(
        None,
        description="whose crops int8's ranges are taken from, 128 of them unless `people` says "
        "otherwise; by default of what the student was trained on",
    )
    measure: SourceConfig | None = Field(
        None,
        description="on whom its accuracy is measured, and for fewer bits the loss against fp32; "
        "by default what the student was validated on",
    )
    name: str | None = Field(
        None, description="the model that it becomes a version of; by default the student's own"
    )


_FILE: Final = "student.onnx"


class Export(JobKind):
    """config: `ExportConfig`."""

    example: ClassVar[Mapping[str, Any]] = {
        "job": "0198c1a2-7e55-7bd2-9d0c-5e1f0c2b9a41",
        "branch": "branch0",
        "variant": "int8",
        "calibrate": {"dataset": "lsp", "split": "train", "people": 128},
        "measure": {"dataset": "lsp", "split": "valid"},
        "name": "gym",
    }

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: ExportConfig = validated(ExportConfig, config)
        student = pinned_student(asked, stores)
        own_name, job_id = _origin(student, stores)
        name = checked_name(asked.name or own_name, "model")
        data = _data_of(job_id, stores)
        measure, calibrate = chosen_people(asked.variant, asked.measure, asked.calibrate, data)
        people = {
            key: None if source is None else check_source(source, key, stores)
            for key, source in (("measure", measure), ("calibrate", calibrate))
        }
        resolved = asked.model_copy(update={**student, **people, "name": name})
        return resolved.model_dump(mode="json")

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = ExportConfig.model_validate(resolved)
        placed = {
            key: None if source is None else placed_source(source, stores).model_dump(mode="json")
            for key, source in (("calibrate", asked.calibrate), ("measure", asked.measure))
        }
        return {"student": placed_student(resolved, stores), "variant": asked.variant, **placed}

    def run(self, work: Work) -> bool:
        # onnx: in the child alone
        from model.variants import exam_of, keep_full, make_variant

        spec, variant = work.spec, work.spec["variant"]
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started", variant=variant)
            source = open_student(spec["student"], work.run_dir / "source")
            measure, ranges = (
                exam_of(tree and SourceConfig.model_validate(tree), source)
                for tree in (spec["measure"], spec["calibrate"])
            )
            exams = [] if measure is None else [measure]
            if work.stop():
                return False
            events.write("evaluating")
            target = work.run_dir / _FILE
            if variant == FULL:
                receipt = keep_full(source, target, exams)
            else:
                receipt = make_variant(source, variant, target, ranges=ranges, exams=exams)
            stem = f"{receipt.branch}-{variant}"
            events.write("artifact", name=f"{stem}.onnx", path=target.name)
            events.write("artifact", name=f"{stem}.receipt.json", path=beside(target).name)
            events.write("finished", metrics=_told(receipt, variant))
        return True

    def product(self, job: Job, run_dir: Path, stores: Stores) -> Version:
        """A version of the job that the student came from: its other branches are siblings."""
        onnx = run_dir / _FILE
        card = read_card(onnx)
        _, job_id = _origin(job.resolved, stores)
        return stores.registry.prepare(job.resolved["name"], onnx, card, card["metrics"], job_id)


def _origin(student: Mapping[str, Any], stores: Stores) -> tuple[str, str | None]:
    """Name of the student's model, and the job that it came from, where it came from one.

    student: of `pinned_student`. Raises ConfigError for a version in fewer bits.
    """
    if student["job"] is not None:
        config = load_config(stores.jobs.get(student["job"]).resolved)
        return config.export.name, student["job"]
    version = stores.registry.resolve(student["model"])
    if version.variant != FULL:
        fault = f"{student['model']} computes in {version.variant}"
        raise ConfigError([Fault("model", fault, f"a version in {FULL}, which others are made of")])
    return version.model, version.job_id


def _data_of(job_id: str | None, stores: Stores) -> DataConfig | None:
    """What a job trained on; None where it was not one training."""
    job = None if job_id is None else stores.jobs.get(job_id)
    return load_config(job.resolved).data if job is not None and job.kind == TRAINING else None


def _told(receipt: Receipt, variant: str) -> dict[str, Any]:
    """The job's result: what the file is, and what was measured of it."""
    against = receipt.against_fp32
    return {
        "variant": variant,
        "file": receipt.file.model_dump(),
        "accuracy": [of.model_dump(mode="json") for of in measured(receipt.accuracy)],
        "latency": [of.model_dump(mode="json") for of in measured(receipt.latency)],
        "against_fp32": None if against is None else against.model_dump(mode="json"),
    }

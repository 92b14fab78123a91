"""Make a file of any student, in float32 or fewer bits, and register it with what it measures."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import Field

from model.comparison.apart import shared
from model.config import SourceConfig, load_config, validated
from model.config.data import DataConfig
from model.data.mixture import open_source
from model.errors import ConfigError, Fault
from model.evidence import Exam, prepared
from model.precisions import FULL, RANGES_PEOPLE, Precision
from model.predictor import Predictor
from model.receipt import Receipt, beside, measured
from model.training.events import EVENTS, EventLog
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, placed_source
from worker.jobs.students import StudentConfig, open_student, pinned_student, placed_student
from worker.names import checked_name
from worker.registry import read_card
from worker.store.tables import Job, Version
from worker.stores import Stores

MOST_RANGES: Final = 4096
"""More crops tell no other ranges, and take minutes."""


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
        origin = _origin(student, stores)
        name = checked_name(asked.name or origin["name"], "model")
        _check_new(name, origin, asked.variant, stores)
        resolved = asked.model_dump() | student | {"name": name}
        if asked.variant == FULL:
            _check_unused(asked)
        else:
            resolved |= _people(asked, origin["job"], stores)
        for key in ("calibrate", "measure"):
            if resolved[key] is not None:
                check_source(SourceConfig.model_validate(resolved[key]), key, stores)
        return ExportConfig.model_validate(resolved).model_dump(mode="json")

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = ExportConfig.model_validate(resolved)
        placed = {
            key: None if source is None else placed_source(source, stores).model_dump(mode="json")
            for key, source in (("calibrate", asked.calibrate), ("measure", asked.measure))
        }
        return {"student": placed_student(resolved, stores), "variant": asked.variant, **placed}

    def run(self, work: Work) -> bool:
        # onnx: in the child alone
        from model.variants import keep_full, make_variant

        spec, variant = work.spec, work.spec["variant"]
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started", variant=variant)
            source = open_student(spec["student"], work.run_dir / "source")
            exams = [exam for exam in [_exam(spec["measure"], source)] if exam is not None]
            ranges = _exam(spec["calibrate"], source)
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
        """A version of the job that the student was trained by: its variants are siblings there."""
        onnx = run_dir / _FILE
        card = read_card(onnx)
        trained_by = _origin(job.resolved, stores)["job"]
        name = job.resolved["name"]
        return stores.registry.prepare(name, onnx, card, card["metrics"], trained_by)


def _origin(student: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
    """Name of the model, the job that trained it (None for one that came otherwise), and branch.

    student: of `pinned_student`. Raises ConfigError for a version in fewer bits.
    """
    if student["job"] is not None:
        config = load_config(stores.jobs.get(student["job"]).resolved)
        return {
            "name": config.export.name,
            "job": student["job"],
            "branch": student["branch"],
        }
    version = stores.registry.resolve(student["model"])
    if version.variant != FULL:
        fault = f"{student['model']} computes in {version.variant}"
        raise ConfigError([Fault("model", fault, f"a version in {FULL}, which others are made of")])
    return {"name": version.model, "job": version.job_id, "branch": version.branch}


def _check_new(name: str, origin: Mapping[str, Any], variant: str, stores: Stores) -> None:
    """Raises ConfigError where the model has this branch of this job in these bits already."""
    if origin["job"] is None:
        return
    there = stores.registry.of_branch(name, origin["job"], origin["branch"], variant)
    if there is not None:
        fault = f"{name}:{there.version} is this student in {variant} already"
        raise ConfigError([Fault("name", fault, "another model's name")])


def _check_unused(asked: ExportConfig) -> None:
    if asked.calibrate is not None:
        raise ConfigError([Fault("calibrate", f"is of no use for {asked.variant}", "nothing")])


def _people(asked: ExportConfig, trained_by: str | None, stores: Stores) -> dict[str, Any]:
    """Whose crops the ranges come from, and on whom the loss is measured. Raises ConfigError."""
    data = None if trained_by is None else _data_of(trained_by, stores)
    measure = asked.measure or (None if data is None else data.valid[0])
    if measure is None:
        raise ConfigError([_missing("measure")])
    if asked.variant != "int8":
        _check_unused(asked)
        return {"measure": measure.model_dump(), "calibrate": None}
    calibrate = asked.calibrate or (None if data is None else data.train[0])
    if calibrate is None:
        raise ConfigError([_missing("calibrate")])
    if calibrate.people is None or asked.calibrate is None:
        calibrate = calibrate.model_copy(
            update={"people": min(calibrate.people or RANGES_PEOPLE, RANGES_PEOPLE)}
        )
    assert calibrate.people is not None
    if calibrate.people > MOST_RANGES:
        fault = Fault("calibrate.people", f"found {calibrate.people:,}", f"at most {MOST_RANGES:,}")
        raise ConfigError([fault])
    if shared(calibrate, measure):
        fault = Fault("calibrate", "shares people with `measure`, which flatters", "other people")
        raise ConfigError([fault])
    return {"measure": measure.model_dump(), "calibrate": calibrate.model_dump()}


def _data_of(job_id: str, stores: Stores) -> DataConfig:
    return load_config(stores.jobs.get(job_id).resolved).data


def _missing(key: str) -> Fault:
    return Fault(key, "is missing: no job of this server trained the student", "labelled people")


def _exam(source: Mapping[str, Any] | None, student: Path) -> Exam | None:
    """The people cut out as the student wants them. Raises DatasetError."""
    if source is None:
        return None
    card = Predictor(student).card
    labelled = open_source(SourceConfig.model_validate(source))
    return prepared(labelled, card.size, card.padding)


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

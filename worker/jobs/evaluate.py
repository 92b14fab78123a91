"""Measure a student, or every branch of a run and their ensemble, on a data set."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar, Final

from pydantic import Field

from model.config import SourceConfig, validated
from model.data.mixture import open_source
from model.data.readers import LabelledSet
from model.evaluation import evaluate_student
from model.files import write_json
from model.predictor import Predictor
from model.training.events import EVENTS, EventLog
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, placed_source
from worker.jobs.students import (
    StudentConfig,
    finished_job,
    open_run,
    open_student,
    pinned_student,
    placed_run,
    placed_student,
)
from worker.stores import Stores

_METRICS: Final = "metrics.json"


class EvaluateConfig(StudentConfig):
    """What a posted `evaluate` job says.

    A job without a branch is measured whole: every branch and the ensemble, in PyTorch; all else
    through the code that serves it.
    """

    branch: str | None = Field(None, description="one of the job's branches; without it all")
    data: SourceConfig
    flip_test: bool = False

    @property
    def whole_run(self) -> bool:
        return self.job is not None and self.branch is None


class Evaluate(JobKind):
    """config: `EvaluateConfig`."""

    example: ClassVar[Mapping[str, Any]] = {
        "model": "okdhp:1",
        "data": {"dataset": "lsp", "split": "valid"},
    }

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: EvaluateConfig = validated(EvaluateConfig, config)
        data = check_source(asked.data, "data", stores)
        asked = asked.model_copy(update={"data": data})
        if asked.job is not None and asked.whole_run:
            finished_job(asked.job, stores)
            return asked.model_dump(mode="json")
        return asked.model_dump(mode="json") | pinned_student(asked, stores)

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = EvaluateConfig.model_validate(resolved)
        spec = {
            "data": placed_source(asked.data, stores).model_dump(mode="json"),
            "flip_test": asked.flip_test,
        }
        if asked.job is not None and asked.whole_run:
            return spec | {"run": placed_run(asked.job, stores)}
        return spec | {"student": placed_student(resolved, stores)}

    def run(self, work: Work) -> bool:
        labelled = open_source(SourceConfig.model_validate(work.spec["data"]))
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started", valid_people=len(labelled.people))
            events.write("evaluating")
            metrics = _measured(work, labelled)
            write_json(work.run_dir / _METRICS, metrics)
            events.write("finished", metrics=metrics)
        return True


def _measured(work: Work, labelled: LabelledSet) -> dict[str, Any]:
    flip_test, folder = work.spec["flip_test"], work.run_dir / "asked"
    if "run" in work.spec:
        from model.training.outcome.finish import evaluate_run  # torch: in the child alone

        run_dir = open_run(work.spec["run"], folder)
        return evaluate_run(run_dir, labelled, flip_test=flip_test, device=work.device)
    predictor = Predictor(open_student(work.spec["student"], folder))
    return evaluate_student(predictor, labelled, flip_test=flip_test)

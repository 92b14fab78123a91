"""Measure a registered model on a data set, through the code that serves it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from model.config import SourceConfig, validated
from model.data.mixture import open_source
from model.evaluation import evaluate_student
from model.files import write_json
from model.predictor import Predictor
from model.training.events import EVENTS, EventLog
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, placed_source
from worker.stores import Stores

_METRICS: Final = "metrics.json"


class EvaluateConfig(BaseModel):
    """What a posted `evaluate` job says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = Field(
        None, description="`name` or `name:version`; none: the one in production"
    )
    data: SourceConfig
    flip_test: bool = False


class Evaluate(JobKind):
    """config: `EvaluateConfig`."""

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: EvaluateConfig = validated(EvaluateConfig, config)
        check_source(asked.data, "data", stores)
        version = stores.registry.resolve(asked.model)
        return asked.model_dump(mode="json") | {"model": f"{version.model}:{version.version}"}

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = EvaluateConfig.model_validate(resolved)
        source = placed_source(asked.data, stores)
        version = stores.registry.resolve(asked.model)
        return {
            "model": str(stores.registry.open_local(version.model, version.version)),
            "data": source.model_dump(mode="json"),
            "flip_test": asked.flip_test,
        }

    def run(self, work: Work) -> bool:
        predictor = Predictor(Path(work.spec["model"]))
        labelled = open_source(SourceConfig.model_validate(work.spec["data"]))
        events = EventLog(work.run_dir / EVENTS)
        events.write("started", device=predictor.provider, valid_people=len(labelled.people))
        events.write("evaluating")
        metrics = evaluate_student(predictor, labelled, flip_test=work.spec["flip_test"])
        write_json(work.run_dir / _METRICS, metrics)
        events.write("finished", metrics=metrics)
        events.close()
        return True

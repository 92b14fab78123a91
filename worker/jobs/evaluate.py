"""Measure a registered model on a data set."""

from collections.abc import Mapping
from typing import Any

from model.config import SourceConfig, validated
from pydantic import BaseModel, ConfigDict
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source
from worker.stores import Stores


class EvaluateConfig(BaseModel):
    """What a posted `evaluate` job says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str | None = None
    """`name` or `name:version`; none: the one in production."""
    data: SourceConfig
    flip_test: bool = False


class Evaluate(JobKind):
    """config: `EvaluateConfig`."""

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = validated(EvaluateConfig, dict(config))
        check_source(asked.data, "data", stores)
        version = stores.registry.resolve(asked.model)
        return asked.model_dump(mode="json") | {"model": f"{version.model}:{version.version}"}

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        raise NotImplementedError

    def run(self, work: Work) -> bool:
        raise NotImplementedError

"""Ask the branches of finished distillations which labels are likely wrong."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from model.config import SourceConfig, load_config, validated
from model.errors import DatasetError
from model.training.events import EVENTS, EventLog
from worker.errors import DatasetNotFound
from worker.jobs.kind import JobKind, Work
from worker.jobs.references import Reference, pin, place
from worker.jobs.sources import check_source, placed_source
from worker.stores import Stores

_MOST_RUNS: Final = 16


class AuditConfig(BaseModel):
    """What a posted `audit` job says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str = Field(description="id of a distill job whose branches are asked")
    other_runs: tuple[str, ...] = Field(
        (),
        max_length=_MOST_RUNS,
        description="ids of further ones; who has not learnt from a person judges him",
    )
    data: tuple[SourceConfig, ...] = Field(min_length=1, description="whose labels")
    top: int = Field(24, ge=1, le=200, description="people that the picture shows")

    @property
    def references(self) -> list[tuple[Reference, str]]:
        """Every run by the key that names it."""
        keys = ["run", *(f"other_runs[{i}]" for i in range(len(self.other_runs)))]
        return [
            (Reference(key, kind="distill", artifact="best.pt", models=False), job_id)
            for key, job_id in zip(keys, (self.run, *self.other_runs), strict=True)
        ]


class Audit(JobKind):
    """config: `AuditConfig`."""

    example: ClassVar[Mapping[str, Any]] = {
        "run": "0198c1a2-7e55-7bd2-9d0c-5e1f0c2b9a41",
        "data": [{"dataset": "lsp", "split": "train"}],
    }

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: AuditConfig = validated(AuditConfig, config)
        for reference, job_id in asked.references:
            pin(reference, job_id, stores)
        data = tuple(
            check_source(source, f"data[{i}]", stores) for i, source in enumerate(asked.data)
        )
        return asked.model_copy(update={"data": data}).model_dump(mode="json")

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = AuditConfig.model_validate(resolved)
        return {
            "judges": [
                {
                    "name": job_id,
                    "checkpoint": str(place(reference, job_id, stores)),
                    "learnt_from": [
                        source.model_dump(mode="json") for source in _learnt_from(job_id, stores)
                    ],
                }
                for reference, job_id in asked.references
            ],
            "data": [
                placed_source(source, stores).model_dump(mode="json") for source in asked.data
            ],
            "top": asked.top,
        }

    def run(self, work: Work) -> bool:
        from model.audit.audit import PICTURES, TABLES, Judge, audit  # torch: in the child alone

        def go_on(done: int, of: int) -> None:
            if work.stop():
                raise _AskedToEnd

        judges = [
            Judge(
                judge["name"],
                Path(judge["checkpoint"]),
                tuple(SourceConfig.model_validate(source) for source in judge["learnt_from"]),
            )
            for judge in work.spec["judges"]
        ]
        sources = [SourceConfig.model_validate(source) for source in work.spec["data"]]
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started", device=work.device, runs=len(judges))
            events.write("evaluating")
            try:
                counts = audit(
                    judges,
                    sources,
                    work.run_dir,
                    top=work.spec["top"],
                    device=work.device,
                    advance=go_on,
                )
            except _AskedToEnd:
                return False
            for kind, names in (("artifact", TABLES), ("picture", PICTURES)):
                for name in names:
                    events.write(kind, name=name, path=name)
            events.write("finished", metrics=counts)
        return True


class _AskedToEnd(Exception):
    """The work should end; nothing of it is worth being saved."""


def _learnt_from(job_id: str, stores: Stores) -> tuple[SourceConfig, ...]:
    """What a job was trained on, with this host's paths; as posted where a set is gone."""
    config = load_config(stores.jobs.get(job_id).resolved)
    try:
        return config.with_sources(stores.datasets.lookup).data.train
    except (DatasetError, DatasetNotFound):
        return config.data.train

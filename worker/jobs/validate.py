"""Look at every photograph and label of a data set, and tell what a person should know of it."""

import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from model.config import SourceConfig, validated
from model.training.events import EVENTS, EventLog
from model.validation.validate import PICTURE, PICTURED, REPORT, brief, validate
from worker.jobs.kind import JobKind, Work
from worker.jobs.sources import check_source, placed_source
from worker.stores import Stores

_TOLD_EVERY_S: Final = 1.0


class ValidateConfig(BaseModel):
    """What a posted `validate` job says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: SourceConfig = Field(description="without a split, all of them and what they share")
    pictures: int = Field(
        PICTURED, ge=0, le=240, description="people that the picture shows, and half as many faults"
    )


class Validate(JobKind):
    """config: `ValidateConfig`."""

    example: ClassVar[Mapping[str, Any]] = {"data": {"dataset": "lsp"}}

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: ValidateConfig = validated(ValidateConfig, config)
        data = check_source(asked.data, "data", stores)
        return asked.model_copy(update={"data": data}).model_dump(mode="json")

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = ValidateConfig.model_validate(resolved)
        data = placed_source(asked.data, stores).model_dump(mode="json")
        return {"data": data, "pictures": asked.pictures}

    def run(self, work: Work) -> bool:
        source = SourceConfig.model_validate(work.spec["data"])
        with closing(EventLog(work.run_dir / EVENTS)) as events:
            events.write("started")
            pace = _Pace(work, events)
            try:
                report = validate(
                    source, work.run_dir, pictures=work.spec["pictures"], advance=pace.go_on
                )
            except _AskedToEnd:
                return False
            events.write("artifact", name=REPORT, path=REPORT)
            events.write("picture", name=PICTURE, path=PICTURE)
            events.write("finished", metrics=brief(report))
        return True


class _AskedToEnd(Exception):
    """The work should end; it is begun anew."""


class _Pace:
    """Tells now and then how far the work is."""

    def __init__(self, work: Work, events: EventLog) -> None:
        self._work, self._events = work, events
        self._began, self._told = time.monotonic(), 0.0

    def go_on(self, done: int, of: int) -> None:
        """Raises _AskedToEnd."""
        if self._work.stop():
            raise _AskedToEnd
        now = time.monotonic()
        if now - self._told < _TOLD_EVERY_S and done < of:
            return
        self._told = now
        speed = done / max(now - self._began, 1e-9)
        left = round((of - done) / speed, 1) if done else None
        self._events.write(
            "progress", step=done, steps=of, images_per_s=round(speed, 1), seconds_left=left
        )

"""Answer many photographs: COCO's results, pictures with the poses drawn, a report of the rest."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import Field, model_validator

from model.config import SourceConfig, validated
from model.errors import ConfigError, DatasetError, Fault
from model.predictor import Predictor
from model.training.events import EVENTS, EventLog
from worker.jobs.answering import Answering
from worker.jobs.kind import JobKind, Work
from worker.jobs.listing import listed
from worker.jobs.photographs import opened
from worker.jobs.results import REPORT, RESULTS, Done, write_report, write_results
from worker.jobs.sources import check_source, placed_source
from worker.jobs.students import StudentConfig, open_student, pinned_student, placed_student
from worker.paths import inside
from worker.stores import Stores

MOST_PICTURES: Final = 1000


class PredictConfig(StudentConfig):
    """What a posted `predict` job says."""

    path: str | None = Field(
        None, description="a folder or ZIP of photographs, by its path below the data folder"
    )
    data: SourceConfig | None = Field(
        None, description="a data set instead, whose people's boxes are taken"
    )
    boxes: str | None = Field(
        None,
        description="a COCO file within `path`: its images are answered, under its ids and with "
        "its annotations' boxes; by default each photograph is one person",
    )
    flip_test: bool = False
    pictures: int = Field(
        0, ge=0, le=MOST_PICTURES, description="how many of the first photographs are drawn"
    )

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.path is None) == (self.data is None):
            raise ValueError("needs either `path` or `data`")
        if self.boxes is not None and self.path is None:
            raise ValueError("`boxes` is a file within `path`; the people of `data` have theirs")
        return self


class Predict(JobKind):
    """config: `PredictConfig`."""

    example: ClassVar[Mapping[str, Any]] = {
        "model": "gym",
        "path": "incoming/monday.zip",
        "pictures": 24,
    }

    def resolve(self, config: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked: PredictConfig = validated(PredictConfig, config)
        if asked.data is not None:
            data = check_source(asked.data, "data", stores)
            asked = asked.model_copy(update={"data": data})
        if asked.path is not None:
            _check_path(asked.path, asked.boxes, stores.settings.data_dir)
        return asked.model_dump(mode="json") | pinned_student(asked, stores)

    def prepare(self, resolved: Mapping[str, Any], stores: Stores) -> dict[str, Any]:
        asked = PredictConfig.model_validate(resolved)
        data = asked.data and placed_source(asked.data, stores).model_dump(mode="json")
        path = asked.path and str(inside(stores.settings.data_dir, asked.path))
        return {
            "student": placed_student(resolved, stores),
            "place": {"data": data, "path": path},
            "boxes": asked.boxes,
            "flip_test": asked.flip_test,
            "pictures": asked.pictures,
        }

    def run(self, work: Work) -> bool:
        spec, run_dir = work.spec, work.run_dir
        predictor = Predictor(open_student(spec["student"], run_dir / "asked"))
        with closing(EventLog(run_dir / EVENTS)) as events, opened(spec["place"]) as photographs:
            photos = listed(photographs, spec["boxes"], run_dir / "photographs.json")
            events.write("started", device=predictor.provider, photographs=len(photos))
            with closing(Done(run_dir)) as done:
                answering = Answering(
                    predictor,
                    photographs,
                    flip_test=spec["flip_test"],
                    pictures=photos[: spec["pictures"]],
                    run_dir=run_dir,
                )
                if not answering.answer(photos, done, events, work.stop):
                    return False
            events.write("evaluating")
            write_results(run_dir, predictor.card, photos)
            report = write_report(
                run_dir, predictor, flip_test=spec["flip_test"], ignored=photographs.ignored
            )
            for name in (RESULTS, REPORT):
                events.write("artifact", name=name, path=name)
            answering.tell_pictures(events)
            events.write("finished", metrics=report)
        return True


def _check_path(path: str, boxes: str | None, data_dir: Path) -> None:
    """Raises ConfigError, DatasetError."""
    try:
        place = inside(data_dir, path)
        if boxes is not None and place.is_dir():
            inside(place, boxes)
    except DatasetError as error:
        where = "path" if error.file == path else "boxes"
        fault = Fault(where, f"{error.file} {error.fault}", "a relative path below the data folder")
        raise ConfigError([fault]) from None
    if not place.is_dir() and place.suffix.lower() != ".zip":
        raise ConfigError([Fault("path", f"{path} is a file", "a folder, or a file called *.zip")])

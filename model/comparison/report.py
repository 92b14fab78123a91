"""The people of the table, and which of their joints each student finds."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.comparison.apart import same_people
from model.comparison.lines import Deployed, Line
from model.config import Config, SourceConfig
from model.data.mixture import open_source
from model.data.packing import exact_crops
from model.data.person import Person
from model.data.readers import LabelledSet
from model.errors import ConfigError, DatasetError, Fault
from model.evaluation import answers, hits_of, on_images
from model.geometry import Crops
from model.metrics.pck import Hits
from model.predictor import Predictor


@dataclass(frozen=True)
class Scored:
    """One set of people and what was found on them.

    name: what the table calls it. counted: `[P, K]` joints, the same for all students.
    found: `[P, K]` of them by the name of the run's cell and the branch.
    """

    name: str
    labelled: LabelledSet
    counted: NDArray[np.bool_]
    found: dict[tuple[str, str], NDArray[np.bool_]]

    def seeds(self, line: Line) -> dict[int, NDArray[np.bool_]]:
        """`[P, K]` by seed."""
        return {
            seed: self.found[deployed.cell.name, deployed.branch]
            for seed, deployed in line.deployed.items()
        }


def check_apart(report: Iterable[SourceConfig], config: Config) -> None:
    """Raises ConfigError when a person of the table is learnt from or chosen on; DatasetError.

    Descriptions alone do not tell it: two registered sets may be one folder. Drawn people are
    left out, since their descriptions do tell.
    """
    known = [
        (f"config.data.{part}", open_source(source).people)
        for part, sources in (("train", config.data.train), ("valid", config.data.valid))
        for source in sources
        if source.format != "synthetic"
    ]
    for i, source in enumerate(report):
        if source.format == "synthetic":
            continue
        people = open_source(source).people
        for where, theirs in known:
            same, _ = same_people(people, theirs)
            if same:
                fault = f"{same} of {len(people)} people are in {where} too"
                raise ConfigError([Fault(f"report[{i}]", fault, "people of their own")])


def beside(people: list[Person], sources: Iterable[SourceConfig]) -> int:
    """How many people are on photographs of which others are in the sources."""
    return sum(
        same_people(people, open_source(source).people)[1]
        for source in sources
        if source.format != "synthetic"
    )


def score(
    source: SourceConfig, deployed: Iterable[Deployed], metric: str, go_on: Callable[[], None]
) -> Scored:
    """What every student finds on a set. go_on: called before each, and may raise to end this.

    Raises DatasetError where the metric counts nobody, or not the same joints of all.
    """
    labelled = open_source(source)
    cut: dict[object, tuple[NDArray[np.uint8], Crops]] = {}
    found: dict[tuple[str, str], NDArray[np.bool_]] = {}
    counted: NDArray[np.bool_] | None = None
    for one in deployed:
        go_on()
        predictor = Predictor(one.onnx)
        card = predictor.card
        view = card.size, card.padding
        if view not in cut:
            cut[view] = exact_crops(labelled.people, *view)
        crops, ways = cut[view]
        points = answers(predictor, crops, flip_test=one.cell.config.evaluation.flip_test)
        hits: Hits = hits_of(on_images(points, ways), card.skeleton, labelled, metric)
        if counted is None:
            counted = hits.counted
        elif not np.array_equal(counted, hits.counted):
            raise DatasetError(labelled.name, None, "students of several skeletons do not compare")
        found[one.cell.name, one.branch] = hits.found
    if counted is None or not counted.any():
        raise DatasetError(labelled.name, None, f"{metric} counts nobody in it")
    return Scored(source.told, labelled, counted, found)

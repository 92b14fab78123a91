"""On whom a student's file is measured, and whose crops int8's ranges are taken from."""

from typing import Final

from model.comparison.apart import shared
from model.config import SourceConfig
from model.config.data import DataConfig
from model.errors import ConfigError, Fault
from model.precisions import FULL, RANGES_PEOPLE, Precision

MOST_RANGES: Final = 4096
"""More crops tell no other ranges, and take minutes."""

Sources = tuple[SourceConfig | None, SourceConfig | None]
"""measure, calibrate."""


def chosen_people(
    variant: Precision,
    measure: SourceConfig | None,
    calibrate: SourceConfig | None,
    data: DataConfig | None,
) -> Sources:
    """What was asked for; where nothing was, what the student learnt from and was judged on.

    data: of the training, None where it is not known. float32 is measured on whom was asked for
    alone. Raises ConfigError: somebody is missing, of no use, too many, or in both.
    """
    if variant != "int8" and calibrate is not None:
        raise ConfigError([Fault("calibrate", f"is of no use for {variant}", "nothing")])
    if variant == FULL:
        return measure, None
    if measure is None:
        measure = _known("measure", data).valid[0]
    if variant != "int8":
        return measure, None
    calibrate = _ranges(calibrate, data)
    if shared(calibrate, measure):
        fault = Fault("calibrate", "shares people with `measure`, which flatters", "other people")
        raise ConfigError([fault])
    return measure, calibrate


def _ranges(asked: SourceConfig | None, data: DataConfig | None) -> SourceConfig:
    """So many people as are enough, or as many as were asked for."""
    source = _known("calibrate", data).train[0] if asked is None else asked
    if asked is None or asked.people is None:
        enough = min(source.people or RANGES_PEOPLE, RANGES_PEOPLE)
        return source.model_copy(update={"people": enough})
    if asked.people > MOST_RANGES:
        fault = Fault("calibrate.people", f"found {asked.people:,}", f"at most {MOST_RANGES:,}")
        raise ConfigError([fault])
    return asked


def _known(key: str, data: DataConfig | None) -> DataConfig:
    if data is None:
        fault = Fault(key, "is missing: what the student learnt from is not known", "people")
        raise ConfigError([fault])
    return data

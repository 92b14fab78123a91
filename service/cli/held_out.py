"""People for three purposes: to learn from, to choose branch and epoch on, and to report."""

from typing import TYPE_CHECKING, Any, Final

from model.errors import ConfigError, Fault
from service.cli.sources import FORM, counterpart, narrowed, parse_source

if TYPE_CHECKING:
    from model.config import SourceConfig

SHARE: Final = 10
FEWEST: Final = 50
"""The last tenth of the people is held out to choose on, and never fewer than so many."""
DRAWN: Final = 500
"""How many figures are drawn for a table."""


def comparison_sources(
    data: list[str], valid: list[str], report: list[str]
) -> dict[str, list[dict[str, Any]]]:
    """`train`, `valid` (to choose on) and `report` of a command line.

    A set without a split is learnt from by its split `train` and reported on its split `valid`.
    Without any `valid` the last tenth of each reported set's training people is held out: a
    stretch at the end, since neighbours in a file may be one film's frames.
    Raises ConfigError, where nobody is left to choose on or to report.
    """
    learnt = [narrowed(parse_source(text), "train", "--data") for text in data]
    chosen = [narrowed(parse_source(text, "--valid"), "val", "--valid") for text in valid]
    reported = [narrowed(parse_source(text, "--report"), "val", "--report") for text in report]
    strangers = [counterpart(source) for source in learnt]
    if not reported:
        reported = [_for_table(source) for source in strangers if source is not None]
    if not chosen:
        parted = [
            (source, None) if stranger is None else _parted(source)
            for source, stranger in zip(learnt, strangers, strict=True)
        ]
        learnt = [source for source, _ in parted]
        chosen = [held for _, held in parted if held is not None]
    for option, sources in (("--report", reported), ("--valid", chosen)):
        if not sources:
            raise ConfigError(
                [Fault(option, "no --data has a split `valid` beside its `train`", FORM)]
            )
    parts = {"train": learnt, "valid": chosen, "report": reported}
    return {name: [s.model_dump(mode="json") for s in part] for name, part in parts.items()}


def drawn_for_table(chosen: "tuple[SourceConfig, ...]") -> "list[SourceConfig] | None":
    """Drawn people for the table where those to choose on are drawn too; None where any is not."""
    if any(source.format != "synthetic" for source in chosen):
        return None
    last = max(source.seed for source in chosen)
    return [chosen[0].model_copy(update={"seed": last + 1, "people": DRAWN, "skip": 0})]


def _for_table(stranger: "SourceConfig") -> "SourceConfig":
    """Of drawn people a third seed; a set's split stands as it is."""
    if stranger.format != "synthetic":
        return stranger
    return stranger.model_copy(update={"seed": stranger.seed + 1, "people": DRAWN})


def _parted(source: "SourceConfig") -> "tuple[SourceConfig, SourceConfig]":
    """All but the last people of a source to learn from, and the last ones to choose on."""
    from model.data.mixture import count_people

    if source.format == "synthetic":
        found = counterpart(source)
        assert found is not None  # drawn people never run out
        return source, found
    count = count_people(source)
    held = max(FEWEST, count // SHARE)
    if held > count // 2:
        fault = f"{source.told} has {count} people, too few to hold {held} of them out"
        raise ConfigError([Fault("--valid", fault, FORM)])
    first = count - held
    return (
        source.model_copy(update={"people": first}),
        source.model_copy(update={"skip": source.skip + first, "people": held}),
    )

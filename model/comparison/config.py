"""What a comparison is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from model.comparison.apart import shared
from model.config import BranchConfig, Config, SourceConfig, load_config, validated
from model.config.base import NotNegative, Part
from model.config.faults import UNKNOWN_KEY
from model.config.load import laid, unfolded
from model.errors import ConfigError, Fault
from model.evaluation import PCK_METRICS

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
Seed = Annotated[int, Field(ge=0, lt=2**32)]

ALONE: Final = "alone"
"""The row of the student that was trained as a network of one branch, from the label alone."""

NOBODY: Final = "none"
"""The scheme that teaches nothing: what a scheme of several branches is held against."""


class CompareConfig(Part):
    """Schemes × seeds × layouts of one configuration.

    `config.data.valid` are the people on whom branch and epoch are chosen.
    """

    config: dict[str, Any] = Field(
        description="what all runs have in common: a run's configuration, a preset's name with it"
    )
    schemes: tuple[Name, ...] = Field(
        (),
        max_length=16,
        description="by name: they keep the options that `config` states and they know, "
        "the rest is their paper's",
    )
    variants: dict[Name, dict[str, Any]] = Field(
        {}, max_length=32, description="rows of any other difference: name and what is laid on"
    )
    seeds: tuple[Seed, ...] = Field(
        (0, 1), min_length=1, max_length=64, description="so many, or which"
    )
    layouts: dict[Name, tuple[BranchConfig, ...]] = Field(
        {}, max_length=8, description="name and branches, as balanced and unbalanced ones"
    )
    report: tuple[SourceConfig, ...] = Field(
        min_length=1,
        max_length=8,
        description="people of the table: neither learnt from nor chosen on",
    )
    metric: Literal["pck@0.2", "pckh@0.5", "pckh@0.1"] | None = Field(
        None, description="of the table; by default the one that chooses"
    )
    budget: Literal["epochs", "device_time"] = Field(
        "epochs", description="what every run has the same of"
    )
    device_minutes: NotNegative = Field(0.0, description="a run's, with budget `device_time`")
    alone: bool = Field(True, description="whether each student is also trained alone")

    @field_validator("seeds", mode="before")
    @classmethod
    def _counted(cls, seeds: Any) -> Any:
        """A number means so many, from 0 on."""
        whole = isinstance(seeds, int) and not isinstance(seeds, bool)
        return tuple(range(seeds)) if whole and 1 <= seeds <= 64 else seeds

    @model_validator(mode="after")
    def _fits(self) -> Self:
        rows = [*self.schemes, *self.variants]
        if not rows:
            raise ValueError("needs `schemes` or `variants`")
        for what, names in (("row", rows), ("seed", self.seeds)):
            twice = [name for i, name in enumerate(names) if name in names[:i]]
            if twice:
                raise ValueError(f"the {what} {twice[0]} stands twice")
        told = [source.told for source in self.report]
        if len(set(told)) != len(told):
            raise ValueError(f"`report` has sets that are called alike: {', '.join(told)}")
        if ALONE in rows:
            raise ValueError(f"no variant can be called {ALONE}: `alone` makes that row")
        if (self.budget == "device_time") != bool(self.device_minutes):
            raise ValueError(
                "a budget of `device_time` needs `device_minutes` for each run (--minutes), "
                "and `device_minutes` that budget"
            )
        return self

    @property
    def rows(self) -> tuple[str, ...]:
        """The names of what is compared, in the order in which it is shown."""
        return ((ALONE,) if self.alone else ()) + self.schemes + tuple(self.variants)

    @property
    def reference(self) -> str:
        """The row that all others are held against: `none`, or else the first."""
        rows = [*self.schemes, *self.variants]
        return NOBODY if NOBODY in rows else rows[0]


def load_comparison(tree: Mapping[str, Any]) -> CompareConfig:
    """A checked comparison, its `config` without a preset's name in it.

    Raises ConfigError, also where people of the table are learnt from or chosen on.
    """
    config: CompareConfig = validated(CompareConfig, tree)
    common = _common(config)
    _refuse_shared(common, config.report)
    if (config.metric or common.evaluation.metric) not in PCK_METRICS:
        fault = f"{common.evaluation.metric} has no interval over people"
        raise ConfigError([Fault("metric", fault, ", ".join(PCK_METRICS))])
    return config.model_copy(
        update={
            "config": unfolded(config.config),
            "metric": config.metric or common.evaluation.metric,
        }
    )


def _common(config: CompareConfig) -> Config:
    """What all runs have in common, checked by itself so that its faults are told once."""
    try:
        return load_config(config.config)
    except ConfigError as error:
        raise ConfigError(below("config", error.faults)) from None


def below(where: str, faults: Sequence[Fault]) -> list[Fault]:
    """Faults of a part as faults of the whole."""

    def nearest(fault: Fault) -> str:
        # Of a wrong key it is a key's path, of a wrong value a value.
        key = fault.nearest and fault.problem == UNKNOWN_KEY
        return f"{where}.{fault.nearest}" if key else fault.nearest

    return [replace(f, where=f"{where}.{f.where}", nearest=nearest(f)) for f in faults]


def _refuse_shared(common: Config, report: Sequence[SourceConfig]) -> None:
    """The table's people must be strangers to the runs, and the chosen-on ones to the training."""
    held = [
        ("config.data.valid", common.data.valid, "config.data.train", common.data.train),
        ("report", report, "config.data.train", common.data.train),
        ("report", report, "config.data.valid", common.data.valid),
    ]
    faults = [
        Fault(f"{where}[{i}]", f"shares people with {other}[{j}]", "people of its own")
        for where, ours, other, theirs in held
        for i, mine in enumerate(ours)
        for j, yours in enumerate(theirs)
        if shared(mine, yours)
    ]
    if faults:
        raise ConfigError(faults)


def row_spec(config: CompareConfig, row: str) -> dict[str, Any]:
    """A row's configuration before layout and seed are laid on it."""
    if row in config.variants:
        return laid(config.config, config.variants[row])
    return laid(config.config, {"scheme": {"name": NOBODY if row == ALONE else row}})

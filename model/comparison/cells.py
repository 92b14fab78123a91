"""The runs of a comparison, and the students that come out of each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from model.comparison.config import ALONE, CompareConfig, below, row_spec
from model.config import BranchConfig, Config, load_config
from model.config.load import laid
from model.errors import ConfigError, Fault

MOST: Final = 400
_EPOCHS_AT_MOST: Final = 100_000


@dataclass(frozen=True)
class Student:
    """What is deployed: all that decides its cost. Students that are equal here are rivals."""

    crop_px: tuple[int, int]
    width: int
    depth: int
    block: str
    shared_stacks: int
    stacks: int
    branch_width: int


@dataclass(frozen=True)
class Cell:
    """One run."""

    name: str  # as okdhp-s0; a folder's name, or a job's
    row: str
    layout: str  # empty where the comparison has none
    seed: int
    config: Config


def cells(config: CompareConfig) -> list[Cell]:
    """Every run, seed by seed, so that what is there after a while can be compared.

    Raises ConfigError naming the row whose configuration is impossible.
    """
    found = [
        cell for seed in config.seeds for cell in [*_of_rows(config, seed), *_alone(config, seed)]
    ]
    if len(found) > MOST:
        raise ConfigError([Fault("config", f"{len(found)} runs", f"at most {MOST}")])
    return found


def students(config: Config) -> dict[Student, tuple[str, ...]]:
    """The students of a run, each with the names of the branches that it may come from."""
    found: dict[Student, tuple[str, ...]] = {}
    for name, branch in zip(config.network.branch_names, config.network.branches, strict=True):
        student = _student(config, branch)
        found[student] = (*found.get(student, ()), name)
    return found


def student_names(all_cells: Iterable[Cell]) -> dict[Student, str]:
    """What each student is called: as its branch is, or by stacks and channels as `1x64`."""
    names: dict[Student, str] = {}
    for cell in all_cells:
        for branch in cell.config.network.branches:
            student = _student(cell.config, branch)
            if student in names:
                continue
            plain = branch.name or f"{student.stacks}x{student.branch_width}"
            taken = sum(name.partition(".")[0] == plain for name in names.values())
            names[student] = f"{plain}.{taken + 1}" if taken else plain
    return names


def _student(config: Config, branch: BranchConfig) -> Student:
    network = config.network
    return Student(
        config.data.crop_px,
        network.width,
        network.depth,
        network.block,
        network.shared_stacks,
        branch.stacks,
        branch.width or network.width,
    )


def _of_rows(config: CompareConfig, seed: int) -> list[Cell]:
    """The cells of one seed, without those of students alone."""
    layouts: Mapping[str, dict[str, Any]] = {
        name: {"network": {"branches": [b.model_dump(mode="json") for b in branches]}}
        for name, branches in config.layouts.items()
    } or {"": {}}
    return [
        _cell(config, "-".join(filter(None, (row, layout))), row, layout, seed, changes)
        for row in config.rows
        if row != ALONE
        for layout, changes in layouts.items()
    ]


def _alone(config: CompareConfig, seed: int) -> list[Cell]:
    """A run of one branch for each student that any row deploys."""
    if not config.alone:
        return []
    rows = _of_rows(config, seed)
    names = student_names(rows)
    found: dict[Student, Cell] = {}
    for cell in rows:
        for branch in cell.config.network.branches:
            student = _student(cell.config, branch)
            if student in found:
                continue
            network = cell.config.network.model_dump(mode="json")
            changes = {
                "data": {"crop_px": list(student.crop_px)},
                "network": network | {"branches": [branch.model_dump(mode="json")]},
            }
            name = ALONE if len(names) == 1 else f"{ALONE}-{names[student]}"
            found[student] = _cell(config, name, ALONE, "", seed, changes)
    return list(found.values())


def _cell(
    config: CompareConfig, name: str, row: str, layout: str, seed: int, changes: dict[str, Any]
) -> Cell:
    training: dict[str, Any] = {"seed": seed}
    if config.budget == "device_time":
        training |= {"device_minutes": config.device_minutes, "epochs": _EPOCHS_AT_MOST}
    spec = laid(row_spec(config, row), changes)
    spec = laid(spec, {"training": training, "export": {"branch": "all"}})
    try:
        resolved = load_config(spec)
    except ConfigError as error:
        raise ConfigError(below(name, error.faults)) from None
    return Cell(f"{name}-s{seed}", row, layout, seed, resolved)

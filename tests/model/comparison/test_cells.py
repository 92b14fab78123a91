"""The runs of a comparison: one for each row, layout and seed, and each student alone once."""

from typing import Any

import pytest

from model.comparison.cells import cells, student_names, students
from model.comparison.config import CompareConfig, load_comparison
from model.errors import ConfigError

SMALL: dict[str, Any] = {
    "config": {"preset": "tiny"},
    "schemes": ["none", "okdhp"],
    "report": [{"format": "synthetic", "people": 20, "seed": 3}],
}
BOTH = {
    "balanced": [{"stacks": 2}, {"stacks": 2}],
    "unbalanced": [{"name": "pico"}, {"name": "nano", "stacks": 2}, {"name": "twin"}],
}


def compared(**changes: Any) -> CompareConfig:
    return load_comparison(SMALL | changes)


def test_every_row_runs_with_every_seed_and_seeds_go_round_by_round():
    """After the first round there is a whole comparison of one seed."""
    names = [cell.name for cell in cells(compared())]

    assert names[:3] == ["none-s0", "okdhp-s0", "alone-s0"]
    assert names[3:] == ["none-s1", "okdhp-s1", "alone-s1"]


def test_runs_of_a_row_differ_in_the_seed_alone_and_export_all():
    """Whatever else differed would be compared as well."""
    first, second = (cell.config.model_dump() for cell in cells(compared()) if cell.row == "okdhp")

    assert (first["training"].pop("seed"), second["training"].pop("seed")) == (0, 1)
    assert first == second
    assert first["export"]["branch"] == "all"


def test_the_student_alone_is_a_branch_as_it_is_deployed_and_the_label():
    """Same student, same data, same epochs; nobody teaches."""
    found = {cell.row: cell.config for cell in cells(compared(seeds=1))}

    alone, okdhp = found["alone"], found["okdhp"]
    assert (len(alone.network.branches), alone.scheme.name) == (1, "none")
    assert set(students(alone)) == set(students(okdhp))
    assert (alone.data, alone.optim, alone.augment) == (okdhp.data, okdhp.optim, okdhp.augment)
    assert alone.training == okdhp.training


def test_layouts_multiply_the_rows_and_each_student_is_alone_once():
    """The two-stack student is in both layouts; one run alone stands for it in both."""
    found = cells(compared(layouts=BOTH, seeds=1))

    assert [cell.name for cell in found] == [
        "none-balanced-s0",
        "none-unbalanced-s0",
        "okdhp-balanced-s0",
        "okdhp-unbalanced-s0",
        "alone-2x32-s0",
        "alone-pico-s0",
    ]
    assert [b.stacks for b in found[3].config.network.branches] == [1, 2, 1]


def test_branches_of_one_size_are_one_student():
    """They cost the same: the better one on selection is what a person would deploy."""
    unbalanced = cells(compared(layouts=BOTH, seeds=1))[1]

    assert list(students(unbalanced.config).values()) == [("pico", "twin"), ("nano",)]


def test_students_that_differ_have_names_that_differ():
    """As a network's depth is in no name."""
    variants = {"deep": {}, "shallow": {"network": {"depth": 2}}}
    names = student_names(cells(compared(schemes=[], variants=variants, seeds=1)))

    assert list(names.values()) == ["1x32", "1x32.2"]


def test_with_equal_device_time_nobody_stops_at_an_epoch():
    """The student alone would be done long before the others otherwise."""
    config = compared(budget="device_time", device_minutes=2.5)

    for cell in cells(config):
        assert cell.config.training.device_minutes == 2.5
        assert cell.config.training.epochs == 100_000


def test_a_comparison_of_a_thousand_runs_is_refused():
    """Somebody typed a seed where a number of seeds belongs."""
    variants = {f"v{i}": {} for i in range(8)}

    with pytest.raises(ConfigError, match="1152 runs; accepted: at most 400"):
        cells(compared(schemes=[], variants=variants, seeds=64, layouts=BOTH))

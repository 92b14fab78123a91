"""Which branch of which run counts: chosen on selection, of each student one."""

from collections.abc import Callable
from typing import Any

import pytest

from model.comparison.cells import Cell, cells
from model.comparison.config import load_comparison
from model.comparison.lines import Line, lines_of, rival, winner_of
from model.comparison.trained import Trained, epochs_of

Train = Callable[..., Trained]
SMALL: dict[str, Any] = {
    "config": {"preset": "tiny"},
    "schemes": ["none", "okdhp"],
    "report": [{"format": "synthetic", "people": 20, "seed": 3}],
}
UNBALANCED = {"layouts": {"mixed": [{"name": "pico"}, {"name": "nano", "stacks": 2}]}}


def of(**changes: Any) -> list[Cell]:
    return cells(load_comparison(SMALL | changes))


def lines(trained: Train, **scores: tuple[float, ...]) -> list[Line]:
    """Runs by row; a score a seed."""
    found = {
        f"{row}-s{seed}": trained({"branch0": score})
        if row == "alone"
        else trained({"branch0": score, "branch1": 0.0})
        for row, of_seeds in scores.items()
        for seed, score in enumerate(of_seeds)
    }
    return lines_of(of(), found)


def test_the_branch_is_the_best_on_selection_with_the_weights_that_were_exported(trained: Train):
    """Not the best of another epoch: those weights are gone."""
    run = trained({"branch0": 40.0, "branch1": 30.0}, {"branch0": 10.0, "branch1": 99.0}, best=1)

    [line] = lines_of(of(seeds=1), {"okdhp-s0": run})

    assert line.deployed[0].branch == "branch0"
    assert line.selection == 40.0


def test_each_seed_has_a_best_branch_of_its_own(trained: Train):
    """A line is what a person would get, who would choose anew."""
    runs = {
        "okdhp-s0": trained({"branch0": 40.0, "branch1": 30.0}),
        "okdhp-s1": trained({"branch0": 20.0, "branch1": 30.0}),
    }

    [line] = lines_of(of(), runs)

    assert {seed: one.branch for seed, one in line.deployed.items()} == {
        0: "branch0",
        1: "branch1",
    }
    assert line.selection == 35.0


def test_unbalanced_branches_are_lines_of_their_own_beside_the_same_student_alone(trained: Train):
    """They cost differently, so that they are no rivals."""
    run = trained({"pico": 40.0, "nano": 50.0})
    found = lines_of(
        of(seeds=1, **UNBALANCED),
        {
            "okdhp-mixed-s0": run,
            "none-mixed-s0": run,
            "alone-pico-s0": trained({"pico": 30.0}),
            "alone-nano-s0": trained({"nano": 35.0}),
        },
    )

    assert [(line.student_name, line.name) for line in found] == [
        ("pico", "alone"),
        ("pico", "none mixed"),
        ("pico", "okdhp mixed"),
        ("nano", "alone"),
        ("nano", "none mixed"),
        ("nano", "okdhp mixed"),
    ]
    assert rival(found, found[2], "none") is found[1]
    assert rival(found, found[5], "alone") is found[3]
    assert rival(found, found[0], "alone") is None


def test_the_winner_is_the_line_with_the_best_mean_and_its_best_run(trained: Train):
    """One lucky seed of a worse way does not win."""
    found = lines(trained, alone=(50.0, 51.0), none=(40.0, 70.0), okdhp=(58.0, 56.0))

    line, run = winner_of(found)

    assert (line.row, run.cell.seed) == ("okdhp", 0)


def test_a_line_of_fewer_seeds_does_not_win(trained: Train):
    """It jumps more; and a scheme that fails on a seed is no winner."""
    found = lines(trained, none=(50.0, 51.0), okdhp=(90.0,))

    assert winner_of(found)[0].row == "none"


def test_runs_that_are_not_there_leave_no_line(trained: Train):
    """Nor a hole in another's."""
    found = lines(trained, none=(50.0,), okdhp=(51.0, 52.0))

    assert [(line.row, list(line.deployed)) for line in found] == [("none", [0]), ("okdhp", [0, 1])]


def test_an_epoch_that_ran_again_counts_once(trained: Train):
    """After a resume its last entry is the one whose weights went on."""
    events = [
        {"kind": "epoch", "epoch": 1, "seconds": 5},
        {"kind": "epoch", "epoch": 2, "seconds": 6},
        {"kind": "started"},
        {"kind": "epoch", "epoch": 2, "seconds": 7},
    ]

    assert [(e["epoch"], e["seconds"]) for e in epochs_of(events)] == [(1, 5), (2, 7)]


@pytest.mark.parametrize(
    ("training", "seconds"),
    [
        ({"device": "cpu, 1 threads", "seconds": 9.0, "cpu_seconds": 4.0}, 4.0),
        ({"device": "NVIDIA H100", "seconds": 9.0, "cpu_seconds": 4.0}, 9.0),
        ({}, None),
    ],
)
def test_training_time_is_the_device_s_own(trained: Train, training: dict, seconds: float | None):
    """On a CPU that others use too a clock on the wall told three times as much."""
    assert trained({"a": 1.0}, **training).device_s == seconds

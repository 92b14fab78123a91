"""What changes over epochs: the published ramp and both schedules."""

import math

import pytest

from model.config import OptimConfig
from model.training.schedules import lr_factor, ramp_up


def test_the_ramp_is_the_published_one():
    """r(e) = exp(−5 (1 − min(e, L)/L)²) with L = 60: from e⁻⁵ to 1, and 1 from there on."""
    assert ramp_up(0, 60) == pytest.approx(math.exp(-5))
    assert ramp_up(30, 60) == pytest.approx(math.exp(-5 / 4))
    assert [ramp_up(epoch, 60) for epoch in (60, 61, 139)] == [1.0, 1.0, 1.0]


def test_the_ramp_only_rises():
    """The target gets more say as it gets better."""
    values = [ramp_up(epoch, 60) for epoch in range(61)]

    assert values == sorted(values)
    assert len(set(values)) == 61


def test_a_ramp_of_no_length_is_full_at_once():
    """`ramp_epochs: 0`."""
    assert ramp_up(0, 0) == 1.0


@pytest.mark.parametrize(
    ("epoch", "factor"), [(0, 1), (89.99, 1), (90, 0.1), (119.99, 0.1), (120, 0.01), (140, 0.01)]
)
def test_steps_drop_at_their_milestones(epoch: float, factor: float):
    """× 0.1 at epochs 90 and 120 of 140."""
    assert lr_factor(OptimConfig(), epoch, 140) == pytest.approx(factor)


def test_a_cosine_goes_from_one_to_zero():
    """Half a wave over the epochs after the warm-up."""
    config = OptimConfig(schedule="cosine", warmup_epochs=2)

    assert lr_factor(config, 2, 12) == 1.0
    assert lr_factor(config, 7, 12) == pytest.approx(0.5)
    assert lr_factor(config, 12, 12) == pytest.approx(0.0)


@pytest.mark.parametrize("schedule", ["step", "cosine"])
def test_a_warm_up_is_linear_and_starts_above_nothing(schedule: str):
    """A first step of rate 0 would be a step lost."""
    config = OptimConfig(schedule=schedule, warmup_epochs=4)

    assert [lr_factor(config, e, 140) for e in (1, 2, 3)] == [0.25, 0.5, 0.75]
    assert 0 < lr_factor(config, 0, 140) < 0.01


def test_a_warm_up_may_be_all_there_is():
    """A trial of one epoch with a warm-up of two must not divide by nothing."""
    config = OptimConfig(schedule="cosine", warmup_epochs=2)

    assert lr_factor(config, 1, 2) == 0.5
    assert lr_factor(config, 2, 2) >= 0

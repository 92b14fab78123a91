"""The paired bootstrap: what it must give exactly, and how often it covers the truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from model.metrics.bootstrap import PairedBootstrap, student_975

JOINTS = 14


def drawn(
    seed: int, P: int, effects: list[list[float]]
) -> tuple[PairedBootstrap, list[NDArray[np.int64]]]:
    """Hits `[S, P]` of systems on people who are hard for all of them.

    effects: for each system what is added to everybody's chance, a number a seed.
    """
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 2, P)
    hits = [
        rng.binomial(JOINTS, np.clip(chance + np.array(effect)[:, None], 0, 1))
        for effect in effects
    ]
    return PairedBootstrap(np.full(P, JOINTS)), hits


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 4))
def test_a_system_does_not_differ_from_itself(seed: int, P: int, S: int):
    """Not by a hair, however few people and seeds there are."""
    bootstrap, [hits] = drawn(seed, P, [[0.0] * S])

    same = bootstrap.difference(hits, hits)

    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert not same.clear


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 4))
def test_a_difference_the_other_way_is_its_negative(seed: int, P: int, S: int):
    """Who is named first must not matter."""
    bootstrap, [a, b] = drawn(seed, P, [[0.0] * S, [0.1] * S])

    one, other = bootstrap.difference(a, b), bootstrap.difference(b, a)

    assert one.value == -other.value
    assert one.low == pytest.approx(-other.high)
    assert one.low <= one.value <= one.high


@given(st.integers(0, 2**32 - 1), st.integers(2, 30), st.integers(1, 4))
def test_a_mean_lies_within_its_interval_and_that_within_0_and_100(seed: int, P: int, S: int):
    """An interval that leaves what is possible would be laughed at."""
    bootstrap, [hits] = drawn(seed, P, [[0.45 - 0.3 * s for s in range(S)]])

    mean = bootstrap.mean(hits)

    assert 0 <= mean.low <= mean.value <= mean.high <= 100
    assert mean.value == pytest.approx(100 * hits.mean() / JOINTS)


def test_a_shift_that_everybody_has_is_found():
    """One joint more of everybody is 100/14 points, whoever is drawn."""
    bootstrap, [hits] = drawn(1, 50, [[-0.2, -0.2]])
    hits = hits.clip(0, JOINTS - 1)

    shift = bootstrap.difference(hits + 1, hits)

    assert shift.value == pytest.approx(100 / JOINTS)
    assert (shift.low, shift.high) == (pytest.approx(shift.value), pytest.approx(shift.value))
    assert shift.clear


def test_a_pair_tells_more_than_two_separate_systems():
    """That is what the same people are for."""
    bootstrap, [a, b] = drawn(2, 100, [[0.0, 0.0], [0.03, 0.03]])

    apart = bootstrap.mean(a).high - bootstrap.mean(a).low
    paired = bootstrap.difference(b, a).high - bootstrap.difference(b, a).low

    assert paired < 0.6 * apart


def test_seeds_that_disagree_widen_the_interval():
    """Two lucky runs are no gain; of one seed only the people are told."""
    bootstrap, [steady, jumping] = drawn(3, 200, [[0.0, 0.0, 0.0], [-0.15, 0.0, 0.15]])

    assert _width(bootstrap.mean(jumping)) > 5 * _width(bootstrap.mean(steady))
    assert _width(bootstrap.mean(jumping[1:2])) < 2 * _width(bootstrap.mean(steady))


def test_two_seeds_that_disagree_promise_next_to_nothing():
    """Student's t of one degree of freedom: 12.7 standard errors of half their distance."""
    steady = np.tile([[4], [6]], (1, 500))  # of 14 joints; all people alike

    found = PairedBootstrap(np.full(500, JOINTS)).difference(steady, steady[[0, 0]])

    apart = 100 * 2 / JOINTS
    assert found.value == pytest.approx(apart / 2)
    assert found.high - found.value == pytest.approx(12.706 * apart / 2, rel=1e-3)


def test_what_people_and_seeds_make_together_is_counted_once():
    """Where every joint is a coin, four seeds are four times as many coins, and little else."""
    rng = np.random.default_rng(4)
    bootstrap = PairedBootstrap(np.full(80, JOINTS))

    def width(S: int) -> float:
        of_many = [_width(bootstrap.mean(rng.binomial(JOINTS, 0.5, (S, 80)))) for _ in range(60)]
        return float(np.median(of_many))

    assert width(4) < 0.72 * width(1)  # counted twice it is 0.80


@pytest.mark.parametrize(
    ("S", "seed_effect", "low", "high"),
    [(1, 0.0, 0.9, 0.99), (2, 0.0, 0.9, 1.0), (3, 0.005, 0.9, 1.0), (5, 0.03, 0.9, 0.99)],
)
def test_of_a_hundred_intervals_some_95_hold_the_truth(
    S: int, seed_effect: float, low: float, high: float
):
    """On made-up systems whose true difference is known: 3 points, whatever the seeds do."""
    rng = np.random.default_rng(7)
    P, rounds, held = 60, 120, 0
    for _ in range(rounds):
        chance = rng.uniform(0.2, 0.8, P)  # far enough from 0 and 1 that no effect is cut off
        effects = rng.normal([[0.0], [0.03]], seed_effect, (2, S))
        a, b = (rng.binomial(JOINTS, np.clip(chance + e[:, None], 0, 1)) for e in effects)
        found = PairedBootstrap(np.full(P, JOINTS)).difference(b, a)
        held += found.low <= 3.0 <= found.high
    assert low <= held / rounds <= high


@pytest.mark.parametrize("df", [1, 1.3, 2, 4.7, 30, 1000])
def test_student_s_quantile_is_the_tables(df: float):
    """Whole degrees of freedom and others."""
    assert student_975(df) == pytest.approx(stats.t.ppf(0.975, df), rel=1e-4)


def test_nobody_to_count_is_refused():
    """A share of nothing."""
    with pytest.raises(ValueError, match="nobody is counted"):
        PairedBootstrap(np.zeros(3, int))


def test_systems_of_other_seeds_are_not_paired():
    """Which seed would belong to which?"""
    bootstrap, [a, b] = drawn(1, 5, [[0.0, 0.0], [0.0]])

    with pytest.raises(ValueError, match="not the same seeds and people"):
        bootstrap.difference(a, b)


def _width(estimate) -> float:
    return estimate.high - estimate.low

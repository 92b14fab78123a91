"""The area under the receiver operating curve, against counting every pair and against SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from model.metrics.auroc import auroc


def test_of_three_pairs_two_and_a_half_are_right() -> None:
    """A tie is half."""
    assert auroc(np.array([0.4, 0.9, 0.4, 0.1]), np.array([1, 0, 0, 0], bool)) == pytest.approx(0.5)
    assert auroc(np.array([0.9, 0.9, 0.4, 0.1]), np.array([1, 0, 0, 0], bool)) == pytest.approx(
        2.5 / 3
    )


@given(
    st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({true for _, true in pairs}) == 2
    )
)
def test_it_is_mann_and_whitneys_u(pairs: list[tuple[int, bool]]) -> None:
    """Many ties among few values."""
    scores, true = np.array([s / 9 for s, _ in pairs]), np.array([t for _, t in pairs])

    expected = mannwhitneyu(scores[true], scores[~true]).statistic / (true.sum() * (~true).sum())

    assert auroc(scores, true) == pytest.approx(expected)
    assert auroc(-scores, true) == pytest.approx(1 - expected)


@pytest.mark.parametrize("true", [[], [True, True], [False]])
def test_without_one_of_each_there_is_nothing_to_tell(true: list[bool]) -> None:
    """No pair can be made."""
    assert math.isnan(auroc(np.ones(len(true)), np.array(true, bool)))

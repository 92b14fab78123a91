"""Reliability and its error, against cases worked by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics.calibration import BINS, reliability


def test_bins_hold_means_and_shares() -> None:
    """Four joints in two bins; a fifth that nobody labelled counts nowhere."""
    scores = np.array([0.75, 0.78, 0.15, 0.11, 0.99])
    found = np.array([True, False, False, False, True])
    counted = np.array([True, True, True, True, False])

    told = reliability(scores, found, counted)

    assert told.joints.tolist() == [0, 2, 0, 0, 0, 0, 0, 2, 0, 0]
    assert told.score[[1, 7]] == pytest.approx([0.13, 0.765])
    assert told.found[[1, 7]].tolist() == [0, 0.5]
    assert np.isnan(told.score[0])
    assert told.ece == pytest.approx(0.5 * 0.13 + 0.5 * 0.265)


def test_the_edges_of_the_scale_are_within_it() -> None:
    """0 and 1 are scores; an upper edge belongs to its bin."""
    told = reliability(np.array([0.0, 0.1, 1.0]), np.ones(3, bool), np.ones(3, bool))

    assert told.joints.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_without_any_joint_there_is_no_error_to_tell() -> None:
    """A set without the normaliser."""
    told = reliability(np.ones((2, 3)), np.ones((2, 3), bool), np.zeros((2, 3), bool))

    assert told.joints.sum() == 0
    assert math.isnan(told.ece)


@given(st.integers(0, 2**32 - 1))
def test_scores_that_are_the_chance_are_calibrated(seed: int) -> None:
    """Each joint is found with its score's probability: what remains is the draw's own noise."""
    rng = np.random.default_rng(seed)
    scores = rng.uniform(size=(4000, 5))
    everybody = np.ones(scores.shape, bool)

    honest = reliability(scores, rng.uniform(size=scores.shape) < scores, everybody)
    boastful = reliability(scores, rng.uniform(size=scores.shape) < scores**3, everybody)

    assert honest.joints.sum() == scores.size
    assert honest.ece < 0.03
    assert boastful.ece > 0.2  # ∫ s − s³ is a quarter
    assert len(honest.joints) == BINS


def test_shapes_that_do_not_fit_are_refused() -> None:
    """A transposed array would otherwise count other joints."""
    with pytest.raises(ValueError, match="do not fit"):
        reliability(np.ones((2, 3)), np.ones((3, 2), bool), np.ones((2, 3), bool))

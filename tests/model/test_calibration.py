"""Scores that are probabilities: the fit, and the map inside the file."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.calibration import FEWEST, ScoreMap, Seen, fitted
from model.calibration_file import calibrate_file, map_of, put_map
from model.config import SourceConfig
from model.data.mixture import open_source
from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.errors import DatasetError
from model.evidence import prepared
from model.files import write_with
from model.predictor import Predictor

K = 2


def observed(chance: tuple[float, ...], count: int = 4000, *, seed: int = 0) -> Seen:
    """Joint k is found with the probability `score ** chance[k]`."""
    random = np.random.default_rng(seed)
    joint = random.integers(0, len(chance), count)
    score = random.uniform(0.02, 0.98, count)
    return Seen(
        joint=joint,
        score=score,
        found=random.random(count) < score ** np.asarray(chance)[joint],
        half=np.arange(count) * 2 // count,
        tolerance="pck@0.2",
        data="drawn",
    )


def test_a_score_that_promises_too_much_is_brought_down_on_people_it_was_not_fitted_on() -> None:
    """The error after is of the other half, so that nothing is learnt by heart."""
    scores = fitted([observed((3.0, 3.0))], K)

    assert scores is not None
    assert scores.told["ece_before"] > 0.2
    assert scores.told["ece_after"] < 0.04


def test_joints_that_err_apart_get_maps_of_their_own() -> None:
    """And where they do not, one map of all, which fewer people are enough for."""
    apart, alike = fitted([observed((4.0, 0.5))], K), fitted([observed((3.0, 3.0), 600)], K)

    assert apart is not None and apart.told["map"] == "per joint"
    low, high = apart.applied(np.full((K, 3), 0.5, np.float32))[:, 2]
    assert low < 0.3 < 0.6 < high
    assert alike is not None and alike.told["map"] == "pooled"
    assert len(set(alike.slope)) == 1


def test_scores_that_are_right_stay() -> None:
    """A probability needs no map."""
    scores = fitted([observed((1.0, 1.0), 20_000)], K)

    assert scores is not None
    points = np.array([[[0, 0, s], [0, 0, s]] for s in (0.1, 0.5, 0.9)], np.float32)
    np.testing.assert_allclose(scores.applied(points)[..., 2], points[..., 2], atol=0.03)


def test_too_few_joints_fit_nothing() -> None:
    """A handful of people would say whatever they happen to."""
    assert fitted([observed((1.0, 1.0), FEWEST - 1)], K) is None
    assert fitted([], K) is None


def test_scores_that_say_the_opposite_keep_their_order() -> None:
    """A decreasing map would call the worst answer the best."""
    wrong = observed((1.0, 1.0))
    scores = fitted([replace(wrong, found=~wrong.found)], K)

    assert scores is not None
    assert (scores.slope > 0).all()


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(-5, 5))
def test_every_map_is_increasing_and_stays_within_0_and_1(
    one: float, other: float, slope: float, offset: float
) -> None:
    """Also at 0 and 1, where the logit ends."""
    scores = ScoreMap(np.array([slope], np.float32), np.array([offset], np.float32), {})
    points = np.array([[[0, 0, min(one, other)]], [[0, 0, max(one, other)]]], np.float32)

    low, high = scores.applied(points)[:, 0, 2]

    assert 0 <= low <= high <= 1
    assert np.array_equal(scores.applied(points)[..., :2], points[..., :2])


@pytest.fixture(scope="module")
def crops(finished_run) -> NDArray[np.uint8]:
    data = finished_run.config.data
    return exact_crops(draw_people(12, seed=5, size_px=150), data.crop_px, data.padding)[0]


@pytest.mark.parametrize("flip_test", [False, True])
def test_in_the_file_scores_alone_change(
    finished_run, crops: NDArray[np.uint8], tmp_path: Path, flip_test: bool
) -> None:
    """Points are the same to the bit; a second map is of what the first tells."""
    before = finished_run.student("slim")
    joints = len(Predictor(before).card.skeleton)
    scores = ScoreMap(
        np.linspace(0.5, 2, joints, dtype=np.float32),
        np.linspace(-1, 1, joints, dtype=np.float32),
        {},
    )
    expected = Predictor(before).infer(crops, flip_test=flip_test)
    graph = onnx.load(before)
    for _ in range(2):
        expected = scores.applied(expected)
        put_map(graph, scores)
        file = tmp_path / "mapped.onnx"
        write_with(file, lambda out: out.write(graph.SerializeToString()))
        found = Predictor(file).infer(crops, flip_test=flip_test)
        assert np.array_equal(found[..., :2], expected[..., :2])
        np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=2e-3)
    assert sum(node.output[0] == "keypoints" for node in graph.graph.node) == 1


def test_a_file_is_calibrated_with_its_card(finished_run, tmp_path: Path) -> None:
    """Whoever reads the card sees whether scores are probabilities, and of what."""
    source = SourceConfig(format="synthetic", people=40, seed=7)
    before = finished_run.student("slim")
    card = Predictor(before).card
    exam = prepared(open_source(source), card.size, card.padding)
    target = tmp_path / "calibrated.onnx"

    told = calibrate_file(before, [exam], target)

    assert Predictor(target).card.calibration == told
    assert told["tolerance"] == "pck@0.2"
    assert map_of(target) is not None
    with pytest.raises(DatasetError, match="at least 200 labelled joints"):
        calibrate_file(before, [], target)


def test_a_finished_run_exports_calibrated_students(finished_run) -> None:
    """Nobody has to ask for it."""
    card = Predictor(finished_run.student("slim")).card

    assert card.calibration is not None
    assert card.calibration["data"] == ["synthetic"]

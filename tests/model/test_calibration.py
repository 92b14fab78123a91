"""Scores that are probabilities, and who is seen: the fits, and the maps inside the file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from model.calibration import FEWEST, FEWEST_HIDDEN, Observed, Platt, ScoreMap, Seen, fitted, seen
from model.calibration_file import calibrate_file, map_of, put_map
from model.config import SourceConfig
from model.data.mixture import open_source
from model.data.packing import exact_crops
from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.errors import DatasetError
from model.evidence import prepared
from model.files import write_with
from model.precisions import Fewer
from model.predictor import Predictor
from model.quantise import quantised
from model.skeletons import MPII16
from model.training.outcome.ship import ship
from model.training.outcome.trained import open_run

K = 2
NOBODY = Observed(*(np.empty(0, kind) for kind in (np.int64, np.float64, np.bool_, np.int64)))


def observed(chance: tuple[float, ...], count: int = 4000, *, seed: int = 0) -> Seen:
    """Joint k is found with the probability `score ** chance[k]`; who is seen nobody says."""
    random = np.random.default_rng(seed)
    joint = random.integers(0, len(chance), count)
    score = random.uniform(0.02, 0.98, count)
    true = random.random(count) < score ** np.asarray(chance)[joint]
    half = np.arange(count) * 2 // count
    return Seen(Observed(joint, score, true, half), NOBODY, tolerance="pck@0.2", data="drawn")


def platt(slope: ArrayLike, offset: ArrayLike) -> Platt:
    return Platt(np.asarray(slope, np.float32), np.asarray(offset, np.float32))


def shown(slope: float, offset: float, count: int = 20_000) -> Seen:
    """Joint 0 is seen with the probability `sigmoid(slope * logit + offset)`; of 1 nobody knows."""
    of = observed((1.0,), count).found
    chance = 1 / (1 + np.exp(-(slope * np.log(of.score / (1 - of.score)) + offset)))
    true = np.random.default_rng(1).random(count) < chance
    return replace(observed((1.0, 1.0)), visible=replace(of, true=true))


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
    assert len(set(alike.found.slope)) == 1


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
    found = replace(wrong.found, true=~wrong.found.true)
    scores = fitted([replace(wrong, found=found)], K)

    assert scores is not None
    assert (scores.found.slope > 0).all()


@given(st.floats(-2, 2), st.floats(-1.5, 1.5))
@settings(max_examples=15, deadline=None)
def test_who_is_seen_is_told_as_it_was_drawn(slope: float, offset: float) -> None:
    """Whichever way the score tells it; and nothing of a joint of which nobody knew."""
    scores = fitted([shown(slope, offset)], K)

    assert scores is not None and scores.visible is not None
    assert scores.visible.slope[0] == pytest.approx(slope, abs=0.12)
    assert scores.visible.offset[0] == pytest.approx(offset, abs=0.12)
    assert np.isnan(scores.visible.of(np.array([0.5, 0.5]))).tolist() == [False, True]
    told = scores.told["visible"]
    assert told["ece"] < 0.02
    assert told["joints"] == 20_000
    assert (scores.found.slope > 0).all()


def test_how_much_the_score_tells_of_who_is_seen_is_told() -> None:
    """An honest 0.5 where it tells nothing, however many are seen."""
    nothing, much = (fitted([shown(slope, 1.0)], K) for slope in (0.0, 3.0))

    assert nothing is not None and much is not None
    told, other = nothing.told["visible"], much.told["visible"]
    assert told["share_visible"] == pytest.approx(1 / (1 + np.exp(-1)), abs=0.02)
    assert told["auroc"] == pytest.approx(0.5, abs=0.03)
    assert told["auroc_one_joint"] == told["auroc"], "one joint alone is known"
    assert other["auroc"] > 0.8


def test_what_holds_of_one_half_alone_is_not_claimed() -> None:
    """Each half is judged by a map of the other: here the one says the opposite of the other."""
    one, other = shown(3.0, 0.0).visible, shown(-3.0, 0.0).visible
    visible = replace(one, true=np.where(one.half == 0, one.true, other.true))
    scores = fitted([replace(observed((1.0, 1.0)), visible=visible)], K)

    assert scores is not None
    assert scores.told["visible"]["auroc"] < 0.3
    assert scores.told["visible"]["ece"] > 0.2


def test_which_joint_it_is_is_not_taken_for_the_score() -> None:
    """Wrists are hidden more often than heads: that alone sets them apart, and is told so."""
    random = np.random.default_rng(0)
    of = observed((1.0, 1.0), 8000)
    true = random.random(8000) < np.array([0.9, 0.3])[of.found.joint]
    scores = fitted([replace(of, visible=replace(of.found, true=true))], K)

    assert scores is not None
    told = scores.told["visible"]
    assert told["auroc"] > 0.75
    assert told["auroc_one_joint"] == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    ("known", "hidden"), [(0, 0), (FEWEST - 1, 100), (1000, FEWEST_HIDDEN - 1), (1000, 1000)]
)
def test_of_too_few_that_are_hidden_nothing_is_told(known: int, hidden: int) -> None:
    """Nor of those alone that are: the scores are mapped without."""
    of = observed((1.0, 1.0))
    visible = Observed(
        *(getattr(of.found, name)[:known] for name in ("joint", "score")),
        true=np.arange(known) >= hidden,
        half=np.arange(known) % 2,
    )

    scores = fitted([replace(of, visible=visible)], K)

    assert scores is not None
    assert scores.visible is None
    assert "visible" not in scores.told


def test_a_set_tells_of_labelled_joints_alone_whether_they_are_seen() -> None:
    """Found or not, for a hidden joint is seldom found; and also of those who have no torso to
    measure a tolerance in."""
    joints = np.zeros((3, 16, 3), np.float32)
    joints[:, :, :2] = np.arange(32, dtype=np.float32).reshape(16, 2) * 9
    joints[:2, :15, 2] = 1
    joints[2, 0, 2] = 1
    visible = np.array([1] * 10 + [0] * 4 + [-1, 1], np.int8)
    drawn = draw_people(3, seed=0, size_px=150)
    people = [replace(p, joints_img=j, visible=visible) for p, j in zip(drawn, joints, strict=True)]
    people[1] = replace(people[1], visible=None)
    far = np.concatenate([joints[..., :2] + 1e4, np.full((3, 16, 1), 0.3)], -1)

    told = seen(far, MPII16, LabelledSet("drawn", MPII16, people, "drawn"))

    assert told is not None
    assert not told.found.true.any()
    assert len(told.found.joint) == 30, "the third person's one joint is not among them"
    assert told.visible.joint.tolist() == [*range(14), 0]
    assert told.visible.true.tolist() == [True] * 10 + [False] * 4 + [True]
    assert told.visible.score.tolist() == [0.3] * 15
    assert told.visible.half.tolist() == [0] * 14 + [1]


def test_maps_come_back_from_json() -> None:
    """A run keeps them for branches that are exported later; a run of before knew one alone."""
    for scores in (fitted([shown(-1.0, 0.5)], K), fitted([observed((3.0, 3.0))], K)):
        assert scores is not None
        tree = json.loads(json.dumps(scores.to_json(), allow_nan=False))
        again = ScoreMap.from_json(tree)
        assert again.told == scores.told
        np.testing.assert_array_equal(again.found.slope, scores.found.slope)
        assert (again.visible is None) == (scores.visible is None)
        if scores.visible is not None and again.visible is not None:
            np.testing.assert_array_equal(again.visible.offset, scores.visible.offset)
    del tree["visible"]
    assert ScoreMap.from_json(tree).visible is None


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(-5, 5))
def test_every_map_is_increasing_and_stays_within_0_and_1(
    one: float, other: float, slope: float, offset: float
) -> None:
    """Also at 0 and 1, where the logit ends."""
    scores = ScoreMap(platt([slope], [offset]), {})
    points = np.array([[[0, 0, min(one, other)]], [[0, 0, max(one, other)]]], np.float32)

    low, high = scores.applied(points)[:, 0, 2]

    assert 0 <= low <= high <= 1
    assert np.array_equal(scores.applied(points)[..., :2], points[..., :2])


@pytest.fixture(scope="module")
def crops(finished_run) -> NDArray[np.uint8]:
    data = finished_run.config.data
    return exact_crops(draw_people(12, seed=5, size_px=150), data.crop_px, data.padding)[0]


def written(file: Path, graph: Any, told: dict[str, Any] | None = None) -> Predictor:
    """The graph as a file, its card with what is told of its maps."""
    for entry in graph.metadata_props:
        card = json.loads(entry.value)
        entry.value = json.dumps(card | {"calibration": told})
    write_with(file, lambda out: out.write(graph.SerializeToString()))
    return Predictor(file)


TOLD = {"visible": {"joints": 1}}


@pytest.fixture(scope="module")
def plain(finished_run, tmp_path_factory) -> Path:
    """A student whose scores are what the decoder says."""
    file = tmp_path_factory.mktemp("plain") / "plain.onnx"
    run = open_run(finished_run.folder, torch.device("cpu"))
    ship(run, "slim", [], file, scores=None, chosen_on=True)
    return file


@pytest.mark.parametrize("flip_test", [False, True])
def test_in_the_file_scores_alone_change(
    plain: Path, crops: NDArray[np.uint8], tmp_path: Path, flip_test: bool
) -> None:
    """Points are the same to the bit; a second map is of what the first tells. Who is seen is told
    of the decoder's own score, mirror included, and does not change the rest by a bit."""
    before = Predictor(plain)
    joints = len(before.card.skeleton)
    scores = ScoreMap(platt(np.linspace(0.5, 2, joints), np.linspace(-1, 1, joints)), {})
    unknown = np.where(np.arange(joints) == 3, np.nan, 1)
    visible = platt(np.linspace(-1, 1.5, joints) * unknown, np.linspace(2, 0, joints) * unknown)
    expected = before.infer(crops, flip_test=flip_test)
    alone, both = onnx.load(plain), onnx.load(plain)
    for _ in range(2):
        chances = visible.of(expected[..., 2])
        expected = scores.applied(expected)
        put_map(alone, scores)
        put_map(both, replace(scores, visible=visible))
        found = written(tmp_path / "alone.onnx", alone).infer(crops, flip_test=flip_test)
        assert np.array_equal(found[..., :2], expected[..., :2])
        np.testing.assert_allclose(found[..., 2], expected[..., 2], atol=2e-3)
        telling = written(tmp_path / "both.onnx", both, TOLD)
        assert np.array_equal(telling.infer(crops, flip_test=flip_test), found)
        more = telling.infer(crops, flip_test=flip_test, visible=True)
        assert np.array_equal(more[..., :3], found)
        assert np.isnan(more[:, 3, 3]).all()
        np.testing.assert_allclose(more[..., 3], chances, atol=2e-3)
    for graph in (alone, both):
        assert sum(node.output[0] == "keypoints" for node in graph.graph.node) == 1
    onnx.checker.check_model(both, full_check=True)


def test_a_map_of_people_who_do_not_tell_leaves_who_is_seen(
    plain: Path, crops: NDArray[np.uint8], tmp_path: Path
) -> None:
    """It was of the decoder's score, which another map does not change."""
    joints = len(Predictor(plain).card.skeleton)
    scores = ScoreMap(platt(np.full(joints, 0.7), np.ones(joints)), {})
    graph = onnx.load(plain)
    put_map(graph, replace(scores, visible=platt(np.ones(joints), np.zeros(joints))))
    first = written(tmp_path / "first.onnx", graph, TOLD).infer(crops, visible=True)

    put_map(graph, scores)

    again = written(tmp_path / "again.onnx", graph, TOLD).infer(crops, visible=True)
    assert np.array_equal(again[..., 3], first[..., 3])
    assert not np.allclose(again[..., 2], first[..., 2], atol=0.01)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_in_fewer_bits_a_file_tells_who_is_seen_as_before(
    crops: NDArray[np.uint8], tmp_path: Path, precision: Fewer, finished_run
) -> None:
    """The second output and its unknown joints pass through the tools."""
    graph = onnx.load(finished_run.student("slim"))
    joints = len(Predictor(finished_run.student("slim")).card.skeleton)
    unknown = np.where(np.arange(joints) == 3, np.nan, 1)
    scores = ScoreMap(platt(np.ones(joints), np.zeros(joints)), {})
    put_map(graph, replace(scores, visible=platt(unknown, unknown)))
    whole = written(tmp_path / "whole.onnx", graph, TOLD)

    quantised(tmp_path / "whole.onnx", precision, crops, tmp_path / "small.onnx")

    small = Predictor(tmp_path / "small.onnx").infer(crops, visible=True)
    expected = whole.infer(crops, visible=True)
    assert np.isnan(small[:, 3, 3]).all()
    np.testing.assert_allclose(small[..., 3], expected[..., 3], atol=0.2)
    assert np.isfinite(np.delete(small, 3, axis=1)).all()


def test_a_file_is_calibrated_with_its_card(finished_run, tmp_path: Path) -> None:
    """Whoever reads the card sees whether scores are probabilities, and of what."""
    source = SourceConfig(format="synthetic", people=40, seed=7)
    before = finished_run.student("slim")
    card = Predictor(before).card
    exam = prepared(open_source(source), card.size, card.padding)
    target = tmp_path / "calibrated.onnx"

    told = calibrate_file(before, [exam], target)

    card = Predictor(target).card
    assert card.calibration == told
    assert told["tolerance"] == "pck@0.2"
    assert card.tells_visible, "drawn people know who is hidden by whom"
    scores = map_of(target)
    assert scores is not None and scores.visible is not None
    with pytest.raises(DatasetError, match="at least 200 labelled joints"):
        calibrate_file(before, [], target)


def test_a_finished_run_exports_calibrated_students(finished_run) -> None:
    """Nobody has to ask for it."""
    card = Predictor(finished_run.student("slim")).card

    assert card.calibration is not None
    assert card.calibration["data"] == ["synthetic"]
    assert card.tells_visible

"""PCK and PCKh against cases worked by hand and against the benchmark's own arithmetic."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.metrics.pck import head_px, pck, torso_px
from model.skeletons import COCO17, LSP14, MPII16, Skeleton

THREE = Skeleton(
    name="three",
    joints=("left_hip", "right_hip", "tail"),
    limbs=(),
    sigmas=(0.1, 0.1, 0.1),
    groups={"hip": ("right_hip", "left_hip"), "rest": ("tail",)},
    mean_omits=("tail",),
)


def people_of_three() -> tuple[np.ndarray, np.ndarray]:
    """Predictions at 0 and labels off by so many pixels in x; 10 px are one normaliser."""
    off = np.array([[1, 2, 0], [1.99, 2.01, 9], [0, 50, 9]], float)
    truth = np.zeros((3, 3, 3))
    truth[:, :, 0] = off
    truth[:, :, 2] = 1
    truth[2, 1, 2] = 0  # 50 px off, but nobody labelled it
    return np.zeros((3, 3, 2)), truth


def test_three_people_worked_by_hand():
    """Left hips 1, 1.99, 0 px off: all within 2. Right hips 2 (counts), 2.01 (not), unlabelled."""
    points, truth = people_of_three()

    result = pck(points, truth, np.full(3, 10.0), 0.2, THREE)

    assert result.per_joint == {"left_hip": 100, "right_hip": 50, "tail": pytest.approx(100 / 3)}
    assert result.groups == {"hip": 75, "rest": pytest.approx(100 / 3)}
    assert result.mean == 100 * 4 / 5  # by counts, and without the tail
    assert result.limbs == 100 * 4 / 5
    assert (result.people, result.joints) == (3, 5)


def test_exactly_the_threshold_is_found():
    """The benchmarks compare with ≤."""
    points, truth = people_of_three()

    assert pck(points, truth, np.full(3, 10.0), 0.2, THREE).per_joint["right_hip"] == 50
    assert pck(points, truth, np.full(3, 9.99), 0.2, THREE).per_joint["right_hip"] == 0


@pytest.mark.parametrize("unknown", [np.nan, np.inf, 0, -1])
def test_people_without_a_normaliser_are_left_out(unknown):
    """Nothing says what near means for them."""
    points, truth = people_of_three()

    result = pck(points, truth, np.array([10.0, unknown, 10.0]), 0.2, THREE)

    assert result.per_joint["right_hip"] == 100
    assert (result.people, result.joints) == (2, 3)


def test_where_nothing_can_be_counted_there_is_no_number():
    """Not 0, which says that all was missed, and not NaN, which JSON has no word for."""
    points, truth = people_of_three()
    truth[:, :, 2] = 0

    result = pck(points, truth, np.full(3, 10.0), 0.2, THREE)

    assert result.per_joint == dict.fromkeys(THREE.joints)
    assert result.groups == {"hip": None, "rest": None}
    assert (result.mean, result.limbs, result.people) == (None, None, 0)
    json.dumps(result.to_json(), allow_nan=False)


def test_a_group_of_one_labelled_joint_is_that_joint():
    """Its other side must not drag it to half."""
    points, truth = people_of_three()
    truth[:, 1, 2] = 0

    assert pck(points, truth, np.full(3, 10.0), 0.2, THREE).groups["hip"] == 100


@pytest.mark.parametrize("nowhere", [np.nan, np.inf])
def test_a_point_that_is_nowhere_is_wrong(nowhere):
    """It must not vanish from the count."""
    points, truth = people_of_three()
    points[0, 0] = nowhere

    result = pck(points, truth, np.full(3, 10.0), 0.2, THREE)

    assert result.per_joint["left_hip"] == pytest.approx(200 / 3)
    assert result.joints == 5


def test_nobody_is_a_count_of_zero():
    """A split may hold nobody with a torso."""
    empty = np.zeros((0, 3, 3))

    assert pck(empty, empty, np.zeros(0), 0.2, THREE).mean is None


def test_shapes_that_do_not_fit_are_refused():
    """Broadcasting would make a number of them."""
    points, truth = people_of_three()

    with pytest.raises(ValueError, match="do not fit 3 joints"):
        pck(points[:1], truth, np.ones(3), 0.2, THREE)


def benchmark(
    points: np.ndarray, truth: np.ndarray, missing: np.ndarray, heads_px: np.ndarray, at: float
) -> dict[str, float]:
    """MPII's table as its evaluation defines it, joint by joint, person by person."""
    share, count = [], []
    for k in range(16):
        seen = [n for n in range(len(points)) if not missing[n, k]]
        near = [n for n in seen if np.hypot(*(points[n, k] - truth[n, k])) / heads_px[n] <= at]
        share.append(100 * len(near) / len(seen))
        count.append(len(seen))
    mean_of = [k for k in range(16) if k not in (6, 7)]  # without pelvis and thorax
    total = sum(count[k] for k in mean_of)
    return {
        "head": share[9],
        "shoulder": (share[12] + share[13]) / 2,
        "elbow": (share[11] + share[14]) / 2,
        "wrist": (share[10] + share[15]) / 2,
        "hip": (share[2] + share[3]) / 2,
        "knee": (share[1] + share[4]) / 2,
        "ankle": (share[0] + share[5]) / 2,
        "mean": sum(share[k] * count[k] / total for k in mean_of),
    }


@given(seed=st.integers(0, 2**32 - 1), at=st.sampled_from([0.1, 0.5]))
def test_pckh_is_the_benchmarks_table(seed, at):
    """0.1 is 0.10; the HRNet line's table reads the column of 0.11."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0, 200, (12, 16, 2))
    points = truth + rng.normal(0, 6, truth.shape)
    missing = rng.random((12, 16)) < 0.3
    missing[0] = False
    heads_px = rng.uniform(10, 40, 12)
    joints = np.concatenate([truth, ~missing[..., None]], axis=-1)

    result = pck(points, joints, heads_px, at, MPII16)

    expected = benchmark(points, truth, missing, heads_px, at)
    assert result.groups | {"mean": result.mean} == pytest.approx(expected)


@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.1, 10))
def test_pck_does_not_depend_on_the_size_of_the_picture(seed, scale):
    """Half the photograph, half the torso."""
    rng = np.random.default_rng(seed)
    joints = np.ones((9, 14, 3))
    joints[..., :2] = rng.uniform(0, 100, (9, 14, 2))
    points = joints[..., :2] + rng.normal(0, 15, (9, 14, 2))
    larger = joints * [scale, scale, 1]

    once = pck(points, joints, torso_px(joints, LSP14), 0.2, LSP14)
    again = pck(points * scale, larger, torso_px(larger, LSP14), 0.2, LSP14)

    assert once.per_joint == pytest.approx(again.per_joint)


@given(seed=st.integers(0, 2**32 - 1))
def test_a_wider_threshold_finds_no_less(seed):
    """For every joint."""
    rng = np.random.default_rng(seed)
    joints = np.ones((9, 16, 3))
    points = rng.normal(0, 1, (9, 16, 2))

    found = [pck(points, joints, np.ones(9), at, MPII16).mean for at in (0.1, 0.5, 1, 3, 99)]

    assert found == sorted(found)
    assert found[-1] == 100


def test_limbs_are_the_twelve_that_every_set_has():
    """Else a model of 17 joints and one of 14 could not be compared."""
    for skeleton in (LSP14, MPII16, COCO17):
        joints = np.zeros((1, len(skeleton), 3))
        joints[..., 2] = 1
        points = np.full((1, len(skeleton), 2), 99.0)
        limbs = [
            skeleton.index(f"{side}_{joint}")
            for side in ("left", "right")
            for joint in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")
        ]
        points[:, limbs] = 0

        result = pck(points, joints, np.ones(1), 0.2, skeleton)

        assert result.limbs == 100
        assert result.mean < 100


def test_the_torso_reaches_from_the_left_shoulder_to_the_right_hip():
    """As LSP's benchmark measures it; (3, 4) and (12, 16) lie 15 apart."""
    joints = np.zeros((2, 14, 3))
    joints[:, LSP14.index("left_shoulder")] = [3, 4, 1]
    joints[:, LSP14.index("right_hip")] = [12, 16, 1]
    joints[1, LSP14.index("right_hip"), 2] = 0

    np.testing.assert_array_equal(torso_px(joints, LSP14), [15, np.nan])


def test_the_sets_own_head_size_comes_before_the_segment():
    """COCO's skeleton has neither."""

    joints = np.zeros((2, len(MPII16), 3))
    joints[:, MPII16.index("upper_neck")] = [0, 30, 1]
    joints[:, MPII16.index("head_top")] = [40, 0, 1]

    np.testing.assert_array_equal(head_px(np.array([20, np.nan]), joints, MPII16), [20, 50])
    nobody = np.zeros((1, len(COCO17), 3))
    np.testing.assert_array_equal(head_px(np.array([np.nan]), nobody, COCO17), [np.nan])
    assert head_px(np.zeros(0), np.zeros((0, len(MPII16), 3)), MPII16).shape == (0,)

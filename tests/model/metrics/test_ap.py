"""COCO's AP and AR through pycocotools."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data.person import Person
from model.data.readers import read_coco
from model.errors import PoseError
from model.geometry import Box
from model.metrics.ap import average_precision
from model.skeletons import COCO17, MPII16

pytest.importorskip("pycocotools", reason="pycocotools comes with the extra `train`")
DATA = Path(__file__).parents[4] / "shared" / "data"


def crowd(count: int, *, seed: int = 0, side_px: float = 60, images: int = 3) -> list[Person]:
    """People of side_px squared, some joints unlabelled, several on an image."""
    rng = np.random.default_rng(seed)
    people = []
    for n in range(count):
        joints = np.ones((17, 3), np.float32)
        joints[:, :2] = 200 * (n // images) + rng.uniform(0, side_px, (17, 2))
        joints[rng.random(17) < 0.3] = 0
        joints[0] = [200 * (n // images), 0, 1]
        people.append(
            Person(
                image=Path(f"{n % images}.jpg"),
                joints_img=joints,
                box_img=Box.around(joints[joints[:, 2] > 0, :2]),
                origin={"area": side_px**2},
            )
        )
    return people


def answers(people: Sequence[Person], *, off_px: float = 0.0) -> np.ndarray:
    """The labels themselves as poses, moved to the right."""
    points = np.array([person.joints_img for person in people], np.float64)
    points[..., 0] += off_px
    points[..., 2] = 0.9
    return points


@given(count=st.integers(1, 20), seed=st.integers(0, 99), side_px=st.floats(40, 90))
@settings(max_examples=25, deadline=None)
def test_the_ground_truth_has_an_ap_of_one(count, seed, side_px):
    """Whatever is unlabelled, and however many share an image."""
    people = crowd(count, seed=seed, side_px=side_px)

    result = average_precision(answers(people), people, COCO17)

    medium = {name: pytest.approx(1) for name in result if not name.endswith("L")}
    assert result == medium | {"APL": None, "ARL": None}


def test_the_figures_have_cocos_names():
    """All ten; JSON can hold them."""
    people = crowd(2)

    result = average_precision(answers(people), people, COCO17)

    assert list(result) == [
        "AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL",
    ]  # fmt: skip
    json.dumps(result, allow_nan=False)


def test_one_person_worked_by_hand():
    """All joints d off: OKS is the mean over joints of exp(−d² / (8 σ² area)).

    AP is the share of the thresholds 0.50, 0.55 … 0.95 that it reaches.
    """
    (person,) = crowd(1)
    person.joints_img[:, 2] = 1
    d, area = 6.0, person.origin["area"]
    oks = np.mean(np.exp(-(d**2) / (8 * np.square(COCO17.sigmas) * area)))
    assert 0.6 < oks < 0.7

    result = average_precision(answers([person], off_px=d), [person], COCO17)

    passed = int((oks >= np.arange(0.5, 0.96, 0.05)).sum())
    assert result["AP"] == pytest.approx(passed / 10)
    assert (result["AP50"], result["AP75"]) == pytest.approx((1, 0))


def test_a_wrong_pose_that_is_surer_costs_precision():
    """AP ranks by score: a miss above a hit halves the precision there, one below it costs none."""
    people = crowd(2, images=2)
    points = answers(people)
    points[0, :, 0] += 1000
    points[0, :, 2] = 0.95
    surer = average_precision(points, people, COCO17)
    points[0, :, 2] = 0.05
    humbler = average_precision(points, people, COCO17)

    assert surer["AR"] == humbler["AR"] == pytest.approx(0.5)
    assert surer["AP"] < humbler["AP"]


def test_sigmas_are_the_skeletons():
    """A stricter skeleton, a lower AP."""
    people = crowd(6)
    strict = replace(COCO17, sigmas=tuple(sigma / 3 for sigma in COCO17.sigmas))
    points = answers(people, off_px=3)

    usual = average_precision(points, people, COCO17)
    stricter = average_precision(points, people, strict)

    assert stricter["AP"] < usual["AP"]


def test_any_skeleton_is_compared():
    """pycocotools' own sigmas are for 17 joints only."""
    joints = np.ones((16, 3), np.float32)
    joints[:, 0] = np.arange(16) * 4
    person = Person(Path("a.jpg"), joints, Box.around([[0, 0], [60, 60]]))

    assert average_precision(answers([person]), [person], MPII16)["AP"] == pytest.approx(1)


def test_joints_that_the_model_lacks_do_not_count():
    """Unlabelled in everybody, they leave the pose: its score and its extent too."""
    people = [replace(p, joints_img=p.joints_img * (np.arange(17) >= 5)[:, None]) for p in crowd(6)]
    points = answers(people)
    elsewhere = points.copy()
    elsewhere[:, :5] = [np.nan, 1e6, 0]

    assert average_precision(elsewhere, people, COCO17) == average_precision(points, people, COCO17)


def test_people_without_a_label_are_left_out():
    """Their pose is no false alarm."""
    people = crowd(4)
    people[1] = replace(people[1], joints_img=np.zeros((17, 3), np.float32))

    assert average_precision(answers(people), people, COCO17)["AP"] == pytest.approx(1)


def test_a_pose_that_is_not_finite_is_no_pose():
    """It costs recall and breaks nothing."""
    people = crowd(4)
    points = answers(people)
    points[0] = np.nan

    assert average_precision(points, people, COCO17)["AR"] == pytest.approx(0.75)
    assert average_precision(points * np.nan, people, COCO17)["AP"] == 0


def test_nobody_has_no_figures():
    """Neither a 0 nor an error."""
    assert set(average_precision(np.zeros((0, 17, 3)), [], COCO17).values()) == {None}


def test_nothing_is_printed(capsys):
    """pycocotools writes twenty lines; ours is a server's log."""
    people = crowd(2)

    average_precision(answers(people), people, COCO17)

    assert capsys.readouterr().out == ""


def test_shapes_that_do_not_fit_are_refused():
    """A pose for each person."""
    with pytest.raises(ValueError, match="does not fit 2 people"):
        average_precision(np.zeros((1, 17, 3)), crowd(2), COCO17)


def test_without_pycocotools_the_extra_is_named(monkeypatch):
    """The base installation serves and has none."""
    monkeypatch.setitem(sys.modules, "pycocotools.coco", None)

    with pytest.raises(PoseError, match=r"pip install 'okdhp\[train\]'"):
        average_precision(np.zeros((0, 17, 3)), [], COCO17)


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no photographs at ../shared/data")
@pytest.mark.parametrize("split", ["train", "valid"])
def test_cocos_own_people_have_an_ap_of_one(split):
    """Real areas, crowded images and hidden joints."""
    labelled = read_coco(DATA / "coco", split)

    result = average_precision(answers(labelled.people), labelled.people, labelled.skeleton)

    assert result == {name: pytest.approx(1) for name in result}


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_dir(), reason="no photographs at ../shared/data")
def test_it_is_what_pycocotools_says_of_the_files_themselves(tmp_path):
    """The usual way, by a results file, over the same people."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    labelled = read_coco(DATA / "coco", "valid")
    rng = np.random.default_rng(0)
    points = answers(labelled.people)
    points[..., :2] += rng.normal(0, 4, points[..., :2].shape)
    points[..., 2] = rng.random(len(points))[:, None]
    content = json.loads(
        (DATA / "coco" / "annotations" / "person_keypoints_valid.json").read_text()
    )
    content["annotations"] = [
        row for row in content["annotations"] if row["num_keypoints"] and not row["iscrowd"]
    ]
    (tmp_path / "truth.json").write_text(json.dumps(content))
    results = [
        {
            "image_id": person.origin["image_id"],
            "category_id": 1,
            "keypoints": pose.ravel().tolist(),
            "score": pose[0, 2],
        }
        for person, pose in zip(labelled.people, points, strict=True)
    ]
    truth = COCO(tmp_path / "truth.json")
    official = COCOeval(truth, truth.loadRes(results), "keypoints")
    official.evaluate()
    official.accumulate()
    official.summarize()

    ours = average_precision(points, labelled.people, labelled.skeleton)

    assert 0.3 < ours["AP"] < 0.95
    assert list(ours.values()) == pytest.approx(official.stats.tolist())

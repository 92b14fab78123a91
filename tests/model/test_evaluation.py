"""Metrics with their protocol: of a student, of a run, and of answers that are known."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.data.packing import exact_crops
from model.data.readers import LabelledSet, read_coco
from model.data.synthetic import draw_people
from model.errors import CheckpointUnusable, DatasetError
from model.evaluation import evaluate_student, measure, on_images, protocol, summary
from model.predictor import Predictor
from model.skeletons import COCO17, LSP14, MPII16, Skeleton
from model.training.outcome.finish import evaluate_run

COUNT = 12


def drawn(skeleton: Skeleton = MPII16) -> LabelledSet:
    people = draw_people(COUNT, seed=31, size_px=96, skeleton=skeleton)
    return LabelledSet(f"drawn:{skeleton.name}", skeleton, people, "drawn")


def truth(labelled: LabelledSet) -> NDArray[np.float64]:
    """The answer that nothing can better, `[P, K, 3]`."""
    return np.stack([p.joints_img for p in labelled.people]).astype(np.float64)


@pytest.fixture(scope="module")
def predictor(finished_run) -> Predictor:
    return Predictor(finished_run.student("wide"))


# Answers that are known


@pytest.mark.parametrize("skeleton", [MPII16, LSP14, COCO17], ids=lambda s: s.name)
def test_the_labels_themselves_are_perfect(skeleton: Skeleton):
    """100 at every threshold, for every joint."""
    labelled = drawn(skeleton)

    result = measure(truth(labelled), skeleton, labelled)

    assert result["people"] == COUNT
    assert summary(result)["pck@0.2"] == 100.0
    assert set(result["pck@0.2"]["per_joint"].values()) == {100.0}


def test_answers_a_torso_away_are_all_wrong():
    """The normaliser is the person's own."""
    labelled = drawn()
    away = truth(labelled) + np.array([500, 0, 0])

    assert summary(measure(away, MPII16, labelled)) == {
        "pck@0.2": 0.0,
        "pckh@0.5": 0.0,
        "pckh@0.1": 0.0,
    }


def test_half_of_the_joints_right_is_half_of_the_points():
    """Two sides: the right one is found, the left one is not."""
    labelled = drawn(LSP14)
    answer = truth(labelled)
    left = [k for k, name in enumerate(LSP14.joints) if name.startswith("left_")]
    answer[:, left, 0] += 500

    per_joint = measure(answer, LSP14, labelled)["pck@0.2"]["per_joint"]

    for name, value in per_joint.items():
        assert value == (0.0 if name.startswith("left_") else 100.0)


def test_a_model_is_compared_over_the_joints_that_both_have():
    """An mpii16 student on LSP: 14 joints, the set's own names; pelvis and thorax are not asked."""
    labelled, theirs = drawn(LSP14), drawn(MPII16)

    result = measure(truth(theirs), MPII16, labelled)

    assert list(result["pck@0.2"]["per_joint"]) == list(LSP14.joints)
    assert summary(result)["pck@0.2"] == 100.0


def test_joints_that_the_model_does_not_have_are_not_counted_wrong():
    """An mpii16 student on COCO: no nose, eyes, ears; the limbs count."""
    labelled, theirs = drawn(COCO17), drawn(MPII16)

    result = measure(truth(theirs), MPII16, labelled)

    assert result["pck@0.2"]["per_joint"]["nose"] is None
    assert summary(result)["pck@0.2"] == 100.0


def test_a_set_without_heads_has_no_pckh():
    """COCO labels no head top: a metric that cannot be had is not there, not 0."""
    people = [replace(p, head_px=None) for p in drawn(COCO17).people]
    labelled = LabelledSet("coco", COCO17, people, "coco")

    assert set(summary(measure(truth(labelled), COCO17, labelled))) == {"pck@0.2"}


def test_a_set_without_any_torso_has_no_pck():
    """Nothing can be normalised by it."""
    people = drawn(COCO17).people
    for person in people:
        person.joints_img[COCO17.index("left_shoulder"), 2] = 0
    labelled = LabelledSet("coco", COCO17, people, "coco")

    assert "pck@0.2" not in measure(truth(labelled), COCO17, labelled)


def test_a_coco_set_gets_its_ap(tmp_path: Path, write_coco):
    """Through pycocotools: 1 on the labels themselves, 0 far away."""
    write_coco(tmp_path / "set", drawn(COCO17).people, COCO17)
    labelled = read_coco(tmp_path / "set", "train")

    right = measure(truth(labelled), COCO17, labelled)
    wrong = measure(truth(labelled) + np.array([500, 0, 0]), COCO17, labelled)

    assert summary(right)["AP"] == pytest.approx(1.0)
    assert summary(wrong)["AP"] == pytest.approx(0.0)


def test_ap_looks_only_at_joints_that_the_model_has(tmp_path: Path, write_coco):
    """An mpii16 student has no nose: it is not asked for one."""
    write_coco(tmp_path / "set", drawn(COCO17).people, COCO17)
    labelled = read_coco(tmp_path / "set", "train")

    result = measure(truth(drawn(MPII16)), MPII16, labelled)

    assert summary(result)["AP"] == pytest.approx(1.0)


def test_the_protocol_tells_what_was_compared():
    """A number without it cannot be compared with another."""
    told = protocol(MPII16, drawn(LSP14), flip_test=True, decoder="dark")

    assert told["data"] == "drawn:lsp14"
    assert told["joints"] == list(LSP14.joints)
    assert told["pck_normaliser"] == "left_shoulder to right_hip"
    assert told["boxes"].startswith("given")
    assert (told["flip_test"], told["decoder"]) == (True, "dark")
    assert told["oks_sigmas"]["left_hip"] == 0.107
    assert json.loads(json.dumps(told)) == told


# Students and runs


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_student_is_as_good_as_its_branch(finished_run, predictor: Predictor, flip_test: bool):
    """ONNX through the code that serves, and PyTorch: one pipeline, one number."""
    labelled = drawn()

    student = evaluate_student(predictor, labelled, flip_test=flip_test)
    run = evaluate_run(finished_run.folder, labelled, flip_test=flip_test)

    assert set(run) == {"wide", "slim", "ensemble", "protocol"}
    assert summary(student) == pytest.approx(summary(run["wide"]), abs=1e-6)
    assert student["protocol"]["flip_test"] is flip_test
    assert run["protocol"]["flip_test"] is flip_test
    assert student["protocol"]["provider"] == "CPUExecutionProvider"
    json.dumps([student, run], allow_nan=False)


def test_a_student_is_judged_on_what_it_answers(predictor: Predictor):
    """The same crops, asked one by one through `infer`."""
    labelled = drawn()
    crops, ways = exact_crops(labelled.people, predictor.card.size, predictor.card.padding)
    found = np.concatenate([predictor.infer(crop[None]) for crop in crops])

    result = evaluate_student(predictor, labelled)

    assert summary(result) == summary(measure(on_images(found, ways), MPII16, labelled))
    assert 0 < summary(result)["pck@0.2"] < 100


def test_a_missing_photograph_is_named(predictor: Predictor, tmp_path: Path):
    """By its name, without its folder."""
    labelled = drawn()
    gone = replace(labelled.people[1], pixels=None, image=tmp_path / "gone.jpg")

    with pytest.raises(DatasetError, match=r"^gone\.jpg") as caught:
        evaluate_student(predictor, replace(labelled, people=[labelled.people[0], gone]))

    assert str(tmp_path) not in str(caught.value)


def test_a_folder_without_a_run_says_so(tmp_path: Path):
    """A mistyped path."""
    with pytest.raises(CheckpointUnusable, match=r"there is no checkpoint best\.pt"):
        evaluate_run(tmp_path, drawn())

"""What is seen on every photograph."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.data.mixture import in_skeleton
from model.data.readers import LabelledSet, read_coco
from model.predictor import BUNDLED, Predictor
from model.skeletons import COCO17, Skeleton
from model.validation.counts import counted
from model.validation.looking import Looked, look_at
from tests.model.validation.drawn import BROKEN, MISSING, name_of, write_drawn


@pytest.fixture(scope="module")
def student() -> Predictor:
    return Predictor(BUNDLED)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> LabelledSet:
    folder = tmp_path_factory.mktemp("drawn")
    write_drawn(folder, faults=True)
    return read_coco(folder, "train")


def look(labelled: LabelledSet, student: Predictor) -> Looked:
    return look_at(labelled, student, lambda photographs: None)


def test_a_student_answers_in_the_set_s_own_joints(drawn: LabelledSet, student: Predictor) -> None:
    """It says nothing of joints that it does not know, nor of photographs that it cannot see."""
    coco = LabelledSet("coco", COCO17, in_skeleton(drawn, COCO17), "coco")

    found = look(coco, student).found
    own = look(drawn, student).found

    assert found is not None
    assert own is not None
    answered = np.isfinite(found[..., 0])
    knee, eye = COCO17.index("left_knee"), COCO17.index("left_eye")
    names = [name_of(figure) for figure in (MISSING, BROKEN)]
    seen = [person.image.name not in names for person in coco.people]
    assert answered[:, knee].tolist() == seen
    assert not answered[:, eye].any()
    np.testing.assert_allclose(found[:, knee], own[:, drawn.skeleton.index("left_knee")])


def test_a_student_of_other_joints_is_not_asked(drawn: LabelledSet, student: Predictor) -> None:
    """Two pairs are too few to tell one that goes the other way."""
    few = Skeleton(
        "few", ("left_knee", "right_knee", "left_hip", "right_hip"), (), (0.1,) * 4, groups={}
    )
    labelled = LabelledSet("few", few, in_skeleton(drawn, few), "few")

    looked = look(labelled, student)

    assert looked.found is None
    assert len(looked.looks) == 3


def test_a_file_that_is_too_large_is_broken(
    drawn: LabelledSet, student: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read into memory to find that out."""
    monkeypatch.setattr("model.validation.looking.MAX_BYTES", 1000)

    looked = look(drawn, student)

    assert not looked.looks
    assert looked.missing == [name_of(MISSING)]
    assert looked.broken[name_of(BROKEN)] == "it has more than 1,000 bytes"


def test_boxes_are_measured(drawn: LabelledSet, student: Predictor, tmp_path: Path) -> None:
    """Of two people one has a box beside his joints, which is also small."""
    first, second = drawn.people[0], drawn.people[1]
    joints = second.joints_img.copy()
    joints[0] = 0  # of an unlabelled joint, x and y mean nothing
    far = replace(first.box_img, x=first.box_img.x + 300, width=20, height=31)
    people = [replace(first, box_img=far), replace(second, joints_img=joints)]
    looked = look(replace(drawn, people=people), student)

    boxes = counted(looked, "coco")["boxes"]

    assert (boxes["given"], boxes["small"], boxes["joints_beside"]) == (True, 1, 1)
    assert boxes["off_image"] == 1
    assert boxes["longer_side_px"]["least"] == 31

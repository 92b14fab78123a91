"""Several sets as one: one skeleton, and what a set lacks is not labelled."""

from pathlib import Path

import numpy as np
import pytest

from model.config import SourceConfig
from model.data.mixture import in_skeleton, open_mixture, open_source, skeleton_of
from model.data.readers import LabelledSet
from model.data.synthetic import draw_people
from model.errors import DatasetError
from model.skeletons import COCO17, LSP14, MPII16, Skeleton

DRAWN = SourceConfig(format="synthetic", people=3, seed=4, size_px=64)


def set_of(skeleton: Skeleton) -> LabelledSet:
    people = draw_people(3, seed=4, size_px=64, skeleton=skeleton)
    return LabelledSet("drawn", skeleton, people, "drawn")


def test_joints_go_to_their_names_and_missing_ones_are_not_labelled():
    """The same people in two sets' skeletons: what both have is equal, the rest is masked."""
    truth = set_of(MPII16).people

    converted = in_skeleton(set_of(LSP14), MPII16)

    lacking = [MPII16.index("pelvis"), MPII16.index("thorax")]
    having = [k for k in range(len(MPII16)) if k not in lacking]
    for person, expected in zip(converted, truth, strict=True):
        np.testing.assert_array_equal(person.joints_img[having], expected.joints_img[having])
        assert person.visible is not None
        assert expected.visible is not None
        np.testing.assert_array_equal(person.visible[having], expected.visible[having])
        assert not person.joints_img[lacking].any()
        assert (person.visible[lacking] == -1).all()


def test_its_own_skeleton_leaves_a_set_as_it_is():
    """No joint is copied, and none loses its label."""
    drawn = set_of(COCO17)

    assert in_skeleton(drawn, COCO17) == drawn.people


def test_a_mixture_holds_everybody_in_one_skeleton(tmp_path: Path, write_coco):
    """In the sources' order; a face has no pelvis, and learns none."""
    write_coco(tmp_path / "faces", draw_people(2, seed=1, size_px=64, skeleton=COCO17), COCO17)
    faces = SourceConfig(format="coco", path=tmp_path / "faces", split="train")

    mixture = open_mixture([DRAWN, faces], MPII16)

    assert mixture.sources == ("synthetic, 3 people", "coco:train, 2 people")
    assert [len(p.joints_img) for p in mixture.people] == [16] * 5
    pelvis, ankle = MPII16.index("pelvis"), MPII16.index("left_ankle")
    assert [bool(p.labelled[pelvis]) for p in mixture.people[3:]] == [False, False]
    assert any(p.labelled[ankle] for p in mixture.people[3:])
    assert any(p.labelled[pelvis] for p in mixture.people[:3])


def test_a_mixture_can_be_looked_at_as_one_set():
    """For metrics over all of it."""
    mixture = open_mixture([DRAWN, DRAWN], MPII16)

    assert mixture.as_set().people == mixture.people
    assert mixture.as_set().skeleton == MPII16


def test_the_fingerprint_tells_data_apart():
    """Same data, same skeleton: same print. A person more, another seed or skeleton: another."""

    def print_of(skeleton: Skeleton = MPII16, **changes: int) -> str:
        return open_mixture([DRAWN.model_copy(update=changes)], skeleton).fingerprint

    prints = [print_of(), print_of(LSP14), print_of(people=4), print_of(seed=5)]

    assert print_of() == prints[0]
    assert len(set(prints)) == 4


def test_at_most_so_many_people_are_taken(tmp_path: Path, write_coco):
    """The first ones of the file."""
    people = draw_people(4, seed=1, size_px=64, skeleton=COCO17)
    write_coco(tmp_path / "some", people, COCO17)

    some = open_source(SourceConfig(format="coco", path=tmp_path / "some", people=2))

    assert [p.image.name for p in some.people] == ["1.png", "2.png"]


def test_the_first_people_can_be_left_out(tmp_path: Path, write_coco):
    """So that a set's end can be held out of what is learnt from: no person is in both."""
    people = draw_people(5, seed=1, size_px=64, skeleton=COCO17)
    write_coco(tmp_path / "some", people, COCO17)
    whole = SourceConfig(format="coco", path=tmp_path / "some")

    def names(**changes: int) -> list[str]:
        return [p.image.name for p in open_source(whole.model_copy(update=changes)).people]

    assert names(people=3) + names(skip=3) == names()
    assert names(skip=1, people=2) == ["2.png", "3.png"]
    with pytest.raises(DatasetError, match="skip 5 leaves nobody of 5 people"):
        names(skip=5)


def test_drawn_people_are_left_out_alike():
    """Person i of a seed is always the same one."""
    late = open_source(DRAWN.model_copy(update={"skip": 2, "people": 1})).people

    np.testing.assert_array_equal(late[0].pixels, open_source(DRAWN).people[2].pixels)


def test_a_set_without_any_joint_of_the_skeleton_is_refused(tmp_path: Path, write_coco):
    """It would train on nothing, silently."""
    toes = Skeleton("toes", ("left_toe", "right_toe"), (), (0.1, 0.1), {})
    drawn = draw_people(1, seed=1, size_px=64, skeleton=LSP14)[0]
    person = type(drawn)(drawn.image, drawn.joints_img[:2], drawn.box_img, pixels=drawn.pixels)
    write_coco(tmp_path / "toes", [person], toes, sigmas=[0.1, 0.1])

    with pytest.raises(DatasetError, match="has no joint of the skeleton mpii16"):
        open_mixture([SourceConfig(format="coco", path=tmp_path / "toes")], MPII16)


def test_a_name_that_nobody_resolved_is_refused():
    """Only a worker knows where a registered set lies."""
    with pytest.raises(DatasetError, match="ours: the data set's name was not resolved"):
        open_source(SourceConfig(dataset="ours"))


def test_a_run_may_learn_the_skeleton_of_its_own_data(tmp_path: Path, write_coco):
    """`source`: the first training set's; else a known one, and no file is opened for it."""
    people = draw_people(1, seed=1, size_px=64, skeleton=LSP14)
    write_coco(tmp_path / "ours", people, LSP14, name="climber", sigmas=[0.05] * 14)
    ours = SourceConfig(format="coco", path=tmp_path / "ours")

    skeleton = skeleton_of("source", [ours, DRAWN])

    assert (skeleton.name, skeleton.joints) == ("climber", LSP14.joints)
    assert skeleton.sigmas == (0.05,) * 14
    missing = SourceConfig(format="coco", path=tmp_path / "nowhere")
    assert skeleton_of("coco17", [missing]) is COCO17

"""Skeletons: names, sides, sigmas and maps between sets."""

import json

import numpy as np
import pytest

from model.errors import DatasetError
from model.skeletons import (
    COCO17,
    LSP14,
    MPII16,
    SKELETONS,
    Skeleton,
    from_coco_category,
    from_description,
    joint_map,
)

KNOWN = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())


@KNOWN
def test_a_mirror_exchanges_sides_and_nothing_else(skeleton: Skeleton):
    """A wrong pair teaches a network that left is right in half of its pictures."""
    order = skeleton.flip_order

    np.testing.assert_array_equal(order[order], np.arange(len(skeleton)))
    for name, at in zip(skeleton.joints, order, strict=True):
        side, _, part = name.partition("_")
        expected = {"left": f"right_{part}", "right": f"left_{part}"}.get(side, name)
        assert skeleton.joints[at] == expected


@KNOWN
def test_pairs_are_told_left_first(skeleton: Skeleton):
    """They stand in the metadata of every exported file."""
    assert len(skeleton.flip_pairs) == {"mpii16": 6, "coco17": 8, "lsp14": 6}[skeleton.name]
    for left, right in skeleton.flip_pairs:
        assert (left[:5], right[:6], left[5:]) == ("left_", "right_", right[6:])


@KNOWN
def test_every_name_in_it_is_one_of_its_joints(skeleton: Skeleton):
    """Limbs, groups, normalisers and omissions are looked up by name."""
    named = {
        *(joint for limb in skeleton.limbs for joint in limb),
        *(joint for group in skeleton.groups.values() for joint in group),
        *(skeleton.torso or ()),
        *(skeleton.head or ()),
        *skeleton.mean_omits,
    }

    assert named <= set(skeleton.joints)


@KNOWN
def test_the_limbs_hold_the_body_together(skeleton: Skeleton):
    """A drawn pose has no joint that floats."""
    reached = {skeleton.limb_indices[0][0]}
    for _ in skeleton.joints:
        reached |= {j for limb in skeleton.limb_indices if reached & set(limb) for j in limb}

    assert reached == set(range(len(skeleton)))


@KNOWN
def test_a_skeleton_comes_back_from_its_json(skeleton: Skeleton):
    """It travels in checkpoints and in ONNX metadata."""
    assert from_description(json.loads(json.dumps(skeleton.describe()))) == skeleton


def test_the_sigmas_are_cocos():
    """pycocotools' `kpt_oks_sigmas`, ÷ 10: nose, eyes, ears, … ankles."""
    tenths = [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72, 0.62, 0.62, 1.07, 1.07, 0.87]
    tenths += [0.87, 0.89, 0.89]

    np.testing.assert_allclose(COCO17.sigmas, np.array(tenths) / 10)


def test_mpii_leaves_pelvis_and_thorax_out_of_its_mean():
    """As its official evaluation does."""
    assert MPII16.mean_omits == ("pelvis", "thorax")
    assert (LSP14.mean_omits, COCO17.mean_omits) == ((), ())


def test_a_joints_name_stands_once():
    """Otherwise a lookup by name finds another joint."""
    with pytest.raises(ValueError, match="stands twice"):
        Skeleton("two", ("nose", "nose"), (), (0.1, 0.1), {})


def test_every_joint_has_a_sigma():
    """Never silently 1/K."""
    with pytest.raises(ValueError, match="2 joints but 1 sigmas"):
        Skeleton("two", ("nose", "neck"), (), (0.1,), {})


# Maps between sets


@pytest.mark.parametrize("source", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("target", SKELETONS.values(), ids=lambda s: s.name)
def test_joints_are_mapped_by_name(source: Skeleton, target: Skeleton):
    """A joint that the source lacks is unlabelled, not guessed from its neighbours."""
    for name, at in zip(target.joints, joint_map(source, target), strict=True):
        if at >= 0:
            assert source.joints[at].replace("upper_", "") == name.replace("upper_", "")
        else:
            assert name not in source.joints


def test_lsps_neck_is_mpiis_upper_neck():
    """One place of the body under two sets' names; pelvis and thorax LSP does not have."""
    taken = joint_map(LSP14, MPII16)

    assert LSP14.joints[taken[MPII16.index("upper_neck")]] == "neck"
    lacking = [name for name, at in zip(MPII16.joints, taken, strict=True) if at < 0]
    assert lacking == ["pelvis", "thorax"]


# Custom ones from a COCO file


HAND = {"name": "hand", "keypoints": ["wrist", "thumb_tip", "left_x", "right_x"]}


def test_a_custom_category_brings_its_own_sigmas_and_limbs():
    """`skeleton` counts its joints from 1."""
    skeleton = from_coco_category(
        HAND | {"sigmas": [0.1, 0.2, 0.3, 0.4], "skeleton": [[1, 2], [1, 3]]}, "hands.json"
    )

    assert skeleton.name == "hand"
    assert skeleton.sigmas == (0.1, 0.2, 0.3, 0.4)
    assert skeleton.limbs == (("wrist", "thumb_tip"), ("wrist", "left_x"))
    assert skeleton.flip_pairs == (("left_x", "right_x"),)
    assert (skeleton.torso, skeleton.head) == (None, None)


def test_known_names_bring_known_sigmas():
    """MPII's and LSP's joints have them, by the body's part."""
    skeleton = from_coco_category({"name": "p", "keypoints": list(LSP14.joints)}, "a.json")

    assert skeleton.sigmas == LSP14.sigmas
    assert (skeleton.torso, skeleton.head) == (LSP14.torso, LSP14.head)


def test_cocos_own_names_are_coco17():
    """Whatever the category is called."""
    category = {"name": "person", "keypoints": list(COCO17.joints), "skeleton": [[1, 2]]}

    assert from_coco_category(category, "a.json") is COCO17


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "no OKS sigma for thumb_tip, left_x, right_x: give `sigmas`"),
        ({"keypoints": []}, "has no keypoints"),
        ({"keypoints": None}, "has no keypoints"),
        ({"sigmas": [0.1]}, "needs 4 positive sigmas"),
        ({"sigmas": [0.1, 0.1, 0.1, 0.0]}, "needs 4 positive sigmas"),
        ({"sigmas": [1] * 4, "skeleton": [[0, 1]]}, "link [0, 1] is not a pair of 1…4"),
        ({"sigmas": [1] * 4, "skeleton": [[1, 5]]}, "link [1, 5] is not a pair of 1…4"),
        ({"sigmas": [1] * 4, "skeleton": [[1]]}, "link [1] is not a pair of 1…4"),
    ],
)
def test_a_broken_category_names_its_file_and_its_fault(changes: dict[str, object], told: str):
    """Nothing is made up for a joint that we do not know."""
    with pytest.raises(DatasetError) as caught:
        from_coco_category(HAND | changes, "hands.json")

    assert told in str(caught.value)
    assert "hands.json, row category 'hand'" in str(caught.value)

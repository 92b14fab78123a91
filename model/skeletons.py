"""Joint names, left-right pairs, limbs, sigmas and normalising segments of the known skeletons.

OKS sigmas: COCO's own for its 17 joints (cocoeval.py); head top and neck from the CrowdPose
toolkit; pelvis and thorax take the hip's and the shoulder's. Left and right are the person's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.errors import DatasetError


@dataclass(frozen=True)
class Skeleton:
    """An ordered set of joints and what is known about them.

    `torso` normalises PCK and `head` PCKh (two joint names each); None where the set lacks them.
    `groups` are the lines of the benchmark's table; `mean_omits` joints are left out of its mean.
    """

    name: str
    joints: tuple[str, ...]
    limbs: tuple[tuple[str, str], ...]
    sigmas: tuple[float, ...]
    groups: Mapping[str, tuple[str, ...]]
    torso: tuple[str, str] | None = None
    head: tuple[str, str] | None = None
    mean_omits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.joints)) != len(self.joints):
            raise ValueError(f"{self.name}: a joint's name stands twice")
        if len(self.sigmas) != len(self.joints):
            raise ValueError(
                f"{self.name}: {len(self.joints)} joints but {len(self.sigmas)} sigmas"
            )

    def __len__(self) -> int:
        return len(self.joints)

    def index(self, joint: str) -> int:
        """Position of a joint by its name."""
        return self.joints.index(joint)

    @property
    def flip_order(self) -> NDArray[np.int64]:
        """`[K]`: entry k is the joint that joint k becomes in a mirror."""
        return np.array(
            [self.joints.index(_other_side(name, self.joints)) for name in self.joints], np.int64
        )

    @property
    def flip_pairs(self) -> tuple[tuple[str, str], ...]:
        """(left, right) names of the joints that a mirror exchanges."""
        return tuple(
            (name, _other_side(name, self.joints))
            for name in self.joints
            if name.startswith("left_") and _other_side(name, self.joints) != name
        )

    @property
    def pair_indices(self) -> tuple[tuple[int, int], ...]:
        """Positions of `flip_pairs`."""
        return tuple((self.index(a), self.index(b)) for a, b in self.flip_pairs)

    @property
    def limb_indices(self) -> tuple[tuple[int, int], ...]:
        """Limbs as pairs of joint positions."""
        return tuple((self.index(a), self.index(b)) for a, b in self.limbs)

    def describe(self) -> dict[str, Any]:
        """JSON form, stored in ONNX metadata and in checkpoints; `from_description` reads it."""
        return {
            "name": self.name,
            "joints": list(self.joints),
            "flip_pairs": [list(pair) for pair in self.flip_pairs],
            "limbs": [list(limb) for limb in self.limbs],
            "sigmas": list(self.sigmas),
            "groups": {name: list(joints) for name, joints in self.groups.items()},
            "torso": list(self.torso) if self.torso else None,
            "head": list(self.head) if self.head else None,
            "mean_omits": list(self.mean_omits),
        }


def _other_side(name: str, joints: Sequence[str]) -> str:
    for side, other in (("left_", "right_"), ("right_", "left_")):
        if name.startswith(side) and other + name[len(side) :] in joints:
            return other + name[len(side) :]
    return name


_SIGMA: Final = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
    "neck": 0.079, "upper_neck": 0.079, "head_top": 0.079, "pelvis": 0.107, "thorax": 0.079,
}  # fmt: skip
_SAME: Final = {"upper_neck": "neck"}  # one place of the body under two sets' names


def _sigmas(joints: Sequence[str]) -> tuple[float, ...]:
    return tuple(_SIGMA[j.removeprefix("left_").removeprefix("right_")] for j in joints)


def _groups(*lines: str, head: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"head": head} | {line: (f"right_{line}", f"left_{line}") for line in lines}


_LIMB_GROUPS: Final = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_LIMBS: Final = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
    ("right_wrist", "right_elbow"), ("right_elbow", "right_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
)  # fmt: skip
_LSP_JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
    "neck", "head_top",
)  # fmt: skip
_MPII_JOINTS: Final = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle",
    "pelvis", "thorax", "upper_neck", "head_top",
    "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_COCO_JOINTS: Final = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

LSP14: Final = Skeleton(
    name="lsp14",
    joints=_LSP_JOINTS,
    limbs=(
        *_LIMBS,
        ("right_hip", "left_hip"), ("right_shoulder", "neck"), ("left_shoulder", "neck"),
        ("neck", "head_top"), ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip"),
    ),
    sigmas=_sigmas(_LSP_JOINTS),
    groups=_groups(*_LIMB_GROUPS, head=("neck", "head_top")),
    torso=("left_shoulder", "right_hip"),
    head=("neck", "head_top"),
)  # fmt: skip
MPII16: Final = Skeleton(
    name="mpii16",
    joints=_MPII_JOINTS,
    limbs=(
        *_LIMBS,
        ("right_hip", "pelvis"), ("left_hip", "pelvis"), ("pelvis", "thorax"),
        ("right_shoulder", "thorax"), ("left_shoulder", "thorax"), ("thorax", "upper_neck"),
        ("upper_neck", "head_top"),
    ),
    sigmas=_sigmas(_MPII_JOINTS),
    groups=_groups(*_LIMB_GROUPS, head=("head_top",)),
    torso=("left_shoulder", "right_hip"),
    head=("upper_neck", "head_top"),
    mean_omits=("pelvis", "thorax"),
)  # fmt: skip
COCO17: Final = Skeleton(
    name="coco17",
    joints=_COCO_JOINTS,
    limbs=(
        *_LIMBS,
        ("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
        ("left_shoulder", "right_shoulder"), ("left_eye", "right_eye"), ("nose", "left_eye"),
        ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
        ("left_ear", "left_shoulder"), ("right_ear", "right_shoulder"),
    ),
    sigmas=_sigmas(_COCO_JOINTS),
    groups=_groups(
        *_LIMB_GROUPS, head=("nose", "left_eye", "right_eye", "left_ear", "right_ear")
    ),
    torso=("left_shoulder", "right_hip"),
)  # fmt: skip

SKELETONS: Final[Mapping[str, Skeleton]] = {s.name: s for s in (MPII16, COCO17, LSP14)}


def from_description(described: Mapping[str, Any]) -> Skeleton:
    """The skeleton that `Skeleton.describe` wrote."""

    def pair(key: str) -> tuple[str, str] | None:
        value = described.get(key)
        return (value[0], value[1]) if value else None

    return Skeleton(
        name=described["name"],
        joints=tuple(described["joints"]),
        limbs=tuple((a, b) for a, b in described["limbs"]),
        sigmas=tuple(described["sigmas"]),
        groups={name: tuple(joints) for name, joints in described["groups"].items()},
        torso=pair("torso"),
        head=pair("head"),
        mean_omits=tuple(described["mean_omits"]),
    )


def from_coco_category(category: Mapping[str, Any], file: str) -> Skeleton:
    """The skeleton of a COCO file's category.

    A category with COCO's own 17 names is `coco17`. Another needs a sigma for each joint: its own
    `sigmas`, or, for every joint whose name is known here, the known one; nothing is made up.

    Raises DatasetError when a joint has neither.
    """
    joints = tuple(category.get("keypoints") or ())
    where = f"category {category.get('name', category.get('id'))!r}"
    if not joints:
        raise DatasetError(file, where, "has no keypoints")
    if joints == COCO17.joints:
        return COCO17
    given = category.get("sigmas")
    if given is not None:
        if len(given) != len(joints) or not all(float(s) > 0 for s in given):
            raise DatasetError(file, where, f"needs {len(joints)} positive sigmas, found {given}")
        sigmas = tuple(float(s) for s in given)
    else:
        sided = {j: j.removeprefix("left_").removeprefix("right_") for j in joints}
        unknown = [j for j, stem in sided.items() if stem not in _SIGMA]
        if unknown:
            raise DatasetError(
                file, where, f"no OKS sigma for {', '.join(unknown)}: give `sigmas`, one a joint"
            )
        sigmas = _sigmas(joints)
    links = category.get("skeleton") or ()
    for link in links:
        if len(link) != 2 or not all(1 <= int(i) <= len(joints) for i in link):
            raise DatasetError(
                file, where, f"skeleton link {link} is not a pair of 1…{len(joints)}"
            )
    torso = ("left_shoulder", "right_hip")
    neck = "upper_neck" if "upper_neck" in joints else "neck"
    head = (neck, "head_top")
    return Skeleton(
        name=str(category.get("name") or "custom"),
        joints=joints,
        limbs=tuple((joints[int(a) - 1], joints[int(b) - 1]) for a, b in links),
        sigmas=sigmas,
        groups={joint: (joint,) for joint in joints},
        torso=torso if set(torso) <= set(joints) else None,
        head=head if set(head) <= set(joints) else None,
    )


def joint_map(source: Skeleton, target: Skeleton) -> NDArray[np.int64]:
    """`[K_target]`: for each joint of the target its position in the source, −1 where it has none.

    Joints are matched by name: nothing is interpolated, a joint the source lacks is unlabelled.
    """
    known = [_SAME.get(j, j) for j in source.joints]
    wanted = [_SAME.get(j, j) for j in target.joints]
    return np.array([known.index(j) if j in known else -1 for j in wanted], np.int64)

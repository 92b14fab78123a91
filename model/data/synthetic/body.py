"""An articulated human body: segment lengths, joint limits, kinds of pose, places of all joints.

A tree of rigid segments in three dimensions, so that foreshortening, facing and who hides whom
follow by themselves. Axes as in a picture: x to the right, y down, z away from the camera; a body
at rest stands upright, faces the camera, and its left is +x. Unit: the body's stature.

Segment lengths: Drillis and Contini (1966), as in Winter, *Biomechanics and Motor Control of Human
Movement*, figure 4.1. Limits: normal ranges of motion of the AAOS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]  # [3]
Matrix = NDArray[np.float64]  # [3, 3]
Rng = np.random.Generator

LENGTHS: Final[Mapping[str, float]] = {
    "lower_trunk": 0.13, "upper_trunk": 0.155, "neck": 0.052, "head": 0.130,
    "shoulder": 0.112, "hip": 0.060,  # half widths
    "upper_arm": 0.172, "forearm": 0.146, "hand": 0.085,
    "thigh": 0.245, "shank": 0.246, "foot": 0.125,
}  # fmt: skip

LIMITS_DEG: Final[Mapping[str, tuple[float, float]]] = {
    "spine_bend": (-25, 60), "spine_side": (-30, 30), "spine_twist": (-35, 35),
    "neck_bend": (-45, 45), "neck_side": (-35, 35), "neck_twist": (-75, 75),
    "shoulder_flex": (-50, 175), "shoulder_abduct": (0, 175), "shoulder_twist": (-85, 70),
    "elbow": (0, 148),
    "hip_flex": (-28, 122), "hip_abduct": (-15, 48), "hip_twist": (-35, 45),
    "knee": (0, 138), "ankle": (-20, 48),
}  # fmt: skip
"""Flexion goes forward, abduction away from the body; a positive twist of a shoulder turns the
forearm inward, of a hip the toes outward; a positive ankle points the toes."""

_RELAXED: Final[Mapping[str, tuple[float, float]]] = {
    "spine_bend": (-6, 12), "spine_side": (-8, 8), "spine_twist": (-12, 12),
    "neck_bend": (-15, 22), "neck_side": (-12, 12), "neck_twist": (-40, 40),
    "shoulder_flex": (-25, 30), "shoulder_abduct": (6, 28), "shoulder_twist": (-15, 45),
    "elbow": (5, 60),
    "hip_flex": (-8, 16), "hip_abduct": (-1, 14), "hip_twist": (0, 25),
    "knee": (0, 14), "ankle": (-5, 10),
}  # fmt: skip

POSES: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "stand": {},
    "akimbo": {
        "shoulder_abduct": (35, 60), "shoulder_twist": (45, 70), "elbow": (75, 120),
    },
    "cheer": {
        "shoulder_abduct": (95, 172), "shoulder_twist": (-80, 0), "elbow": (0, 80),
        "hip_abduct": (0, 25), "spine_side": (-20, 20),
    },
    "point": {"shoulder_flex": (20, 130), "shoulder_abduct": (5, 80), "elbow": (0, 110)},
    "walk": {
        "hip_flex": (-25, 42), "knee": (2, 55), "shoulder_flex": (-45, 50), "elbow": (10, 90),
        "ankle": (-10, 30),
    },
    "run": {
        "hip_flex": (-28, 100), "knee": (5, 125), "shoulder_flex": (-50, 75), "elbow": (55, 125),
        "spine_bend": (5, 30), "ankle": (-10, 40),
    },
    "sit": {
        "hip_flex": (72, 105), "knee": (55, 112), "hip_abduct": (0, 30),
        "shoulder_flex": (0, 65), "elbow": (15, 110), "spine_bend": (0, 30),
    },
    "crouch": {
        "hip_flex": (60, 120), "knee": (75, 136), "hip_abduct": (5, 40), "spine_bend": (10, 50),
        "shoulder_flex": (10, 100), "elbow": (5, 110), "ankle": (-20, 10),
    },
    "stoop": {
        "hip_flex": (40, 95), "spine_bend": (20, 58), "knee": (0, 45), "shoulder_flex": (20, 120),
    },
    "kick": {
        "hip_flex": (-28, 115), "hip_abduct": (0, 48), "knee": (0, 60), "spine_side": (-28, 28),
        "shoulder_abduct": (20, 120), "shoulder_flex": (-40, 90), "elbow": (0, 100),
        "ankle": (0, 45),
    },
    "acrobat": {
        name: (low * 0.9, high * 0.9) for name, (low, high) in LIMITS_DEG.items()
    } | {"spine_bend": (-24, 40), "neck_twist": (-40, 40), "knee": (0, 110)},
}  # fmt: skip
"""Kinds of pose: the range in degrees of each angle that differs from a relaxed body's."""


SKULL_RADII: Final = (0.375, 0.50, 0.45)
"""Half the skull's width, height and depth, in head lengths (upper neck to head top)."""


@dataclass(frozen=True)
class Body:
    """One body in one pose, seen by one camera.

    points: every joint's and segment end's place `[3]`, in statures, the pelvis at the origin.
    turns: rotations `[3, 3]` (columns: the segment's left, down, back) of trunk, head and pelvis.
    stout: how thick the segments are, 1 on average.
    """

    points: Mapping[str, Vector]
    turns: Mapping[str, Matrix]
    stout: float

    @property
    def head_length(self) -> float:
        """From the upper neck to the head's top, in statures."""
        return float(np.linalg.norm(self.points["head_top"] - self.points["upper_neck"]))


def turn(axis: str, angle_deg: float) -> Matrix:
    """The right-handed rotation about one axis, `[3, 3]`."""
    a, b = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    c, s = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    matrix = np.eye(3)
    matrix[a, a] = matrix[b, b] = c
    matrix[a, b], matrix[b, a] = -s, s
    return matrix


def draw_angles(rng: Rng, kind: str) -> dict[str, float]:
    """Angles in degrees of one pose of a kind, each within its limits; limbs' carry a side."""
    angles = {}
    for name, relaxed in _RELAXED.items():
        low, high = POSES[kind].get(name, relaxed)
        limb = name.startswith(("shoulder", "elbow", "hip", "knee", "ankle"))
        for side in ("left_", "right_") if limb else ("",):
            angles[side + name] = float(np.clip(rng.uniform(low, high), *LIMITS_DEG[name]))
    return angles


def draw_camera(rng: Rng, kind: str) -> Matrix:
    """A rotation `[3, 3]` of the whole body: front, back or any side; level, lying or overhead."""
    yaw = (rng.normal(0, 35), rng.normal(180, 35), rng.uniform(-180, 180))[
        rng.choice(3, p=(0.45, 0.25, 0.3))
    ]
    roll = rng.normal(0, 9)
    if kind == "acrobat" or rng.random() < 0.04:
        roll = rng.uniform(-180, 180)
    elif kind not in ("walk", "run") and rng.random() < 0.14:
        roll += rng.choice((-90, 90))  # lying down
    return turn("z", roll) @ turn("x", rng.normal(6, 11)) @ turn("y", yaw)


def draw_body(rng: Rng) -> Body:
    """A body of random build, pose and view."""
    kind = str(rng.choice(list(POSES)))
    size = {name: length * rng.normal(1, 0.04) for name, length in LENGTHS.items()}
    return assemble(
        size, draw_angles(rng, kind), draw_camera(rng, kind), stout=float(rng.uniform(0.85, 1.25))
    )


def assemble(
    size: Mapping[str, float], angles: Mapping[str, float], camera: Matrix, *, stout: float
) -> Body:
    """Forward kinematics: from lengths (`LENGTHS`) and angles (`LIMITS_DEG`) to places."""
    down = np.array([0.0, 1.0, 0.0])
    left = np.array([1.0, 0.0, 0.0])
    pelvis = camera
    half = (
        turn("x", angles["spine_bend"] / 2)
        @ turn("z", angles["spine_side"] / 2)
        @ turn("y", angles["spine_twist"] / 2)
    )
    waist_turn = pelvis @ half
    trunk = waist_turn @ half
    nod = (
        turn("y", angles["neck_twist"])
        @ turn("x", angles["neck_bend"])
        @ turn("z", angles["neck_side"])
    )
    head = trunk @ nod
    points: dict[str, Vector] = {"pelvis": np.zeros(3)}
    points["waist"] = -size["lower_trunk"] * waist_turn @ down
    points["thorax"] = points["waist"] - size["upper_trunk"] * trunk @ down
    # The neck follows the head half of the way.
    points["upper_neck"] = points["thorax"] - size["neck"] * _between(trunk, head) @ down
    points["head_top"] = points["upper_neck"] - size["head"] * head @ down
    points["skull"] = points["upper_neck"] + head @ np.array([0, -0.52, -0.09]) * size["head"]
    for name, place in _FACE.items():
        points[name] = points["skull"] + head @ (np.array(place) * size["head"])
    for side, sign in (("left_", 1), ("right_", -1)):
        get = {name.removeprefix(side): a for name, a in angles.items() if name.startswith(side)}
        # A raised arm takes its shoulder along.
        raised = max(get["shoulder_abduct"], get["shoulder_flex"], 0) / 175
        shoulder = points["thorax"] + trunk @ (
            sign * size["shoulder"] * (1 - 0.18 * raised) * left + (0.012 - 0.05 * raised) * down
        )
        arm = (
            trunk
            @ turn("z", -sign * get["shoulder_abduct"])
            @ turn("x", -get["shoulder_flex"])
            @ turn("y", sign * get["shoulder_twist"])
        )
        forearm = arm @ turn("x", -get["elbow"])
        points[side + "shoulder"] = shoulder
        points[side + "elbow"] = shoulder + size["upper_arm"] * arm @ down
        points[side + "wrist"] = points[side + "elbow"] + size["forearm"] * forearm @ down
        points[side + "fingers"] = points[side + "wrist"] + size["hand"] * forearm @ down
        thigh = (
            pelvis
            @ turn("z", -sign * get["hip_abduct"])
            @ turn("x", -get["hip_flex"])
            @ turn("y", -sign * get["hip_twist"])
        )
        shank = thigh @ turn("x", get["knee"])
        foot = shank @ turn("x", get["ankle"])
        points[side + "hip"] = pelvis @ (sign * size["hip"] * left)
        points[side + "knee"] = points[side + "hip"] + size["thigh"] * thigh @ down
        points[side + "ankle"] = points[side + "knee"] + size["shank"] * shank @ down
        heel, toes = foot @ np.array([0, 0.028, 0.022]), foot @ np.array([0, 0.034, -1.0])
        points[side + "heel"] = points[side + "ankle"] + heel
        points[side + "toes"] = points[side + "ankle"] + size["foot"] * toes
    return Body(points, {"pelvis": pelvis, "trunk": trunk, "head": head}, stout)


_FACE: Final = {
    "nose": (0.0, 0.10, -0.48),
    "left_eye": (0.15, -0.04, -0.40), "right_eye": (-0.15, -0.04, -0.40),
    "left_ear": (0.375, 0.02, 0.03), "right_ear": (-0.375, 0.02, 0.03),
}  # fmt: skip
"""Places on the head, from the skull's centre, in head lengths."""


def _between(a: Matrix, b: Matrix) -> Matrix:
    """The rotation nearest to the mean of two that are less than 180° apart."""
    u, _, v = np.linalg.svd(a + b)
    mean: Matrix = u @ v
    return mean

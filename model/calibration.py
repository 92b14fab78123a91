"""A joint's score as the probability that the joint lies within tolerance.

Platt's map (Platt, 1999) on the logit of what the decoder says: `sigmoid(slope * logit + offset)`,
one for each joint or one for all, whichever is nearer the truth of people it was not fitted on.
Increasing, so that it changes no order of one joint's answers. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.readers import LabelledSet
from model.evaluation import PCK_METRICS, compared, hits_of
from model.metrics.calibration import reliability
from model.skeletons import Skeleton, joint_map

EDGE: Final = 1e-4
"""Scores are held so far from 0 and 1, where the logit ends."""
FEWEST: Final = 200
"""Observations below which nothing is fitted."""
_STEPS: Final = 50
_RIDGE: Final = 1.0
"""Pulls slope and offset to 1 and 0 as one doubtful observation would: a joint that was always
found has no finite fit."""


@dataclass(frozen=True)
class ScoreMap:
    """slope, offset: float32 `[K]`, of the student's joints. told: how it was fitted and how well
    it does on people that it was not fitted on, as JSON."""

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]
    told: dict[str, Any]

    def applied(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints `[…, K, 3]` with their scores mapped."""
        mapped = keypoints.copy()
        mapped[..., 2] = _probability(keypoints[..., 2], self.slope, self.offset)
        return mapped

    def to_json(self) -> dict[str, Any]:
        return {"slope": self.slope.tolist(), "offset": self.offset.tolist(), "told": self.told}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "ScoreMap":
        slope, offset = (np.asarray(tree[key], np.float32) for key in ("slope", "offset"))
        return cls(slope, offset, tree["told"])


@dataclass(frozen=True)
class Seen:
    """Joints of which is known whether they were found, `[J]` each.

    joint: index in the student's skeleton. half: which half of its set's people, 0 or 1.
    """

    joint: NDArray[np.int64]
    score: NDArray[np.float64]
    found: NDArray[np.bool_]
    half: NDArray[np.int64]
    tolerance: str
    data: str


def seen(
    keypoints_img: NDArray[np.float64], skeleton: Skeleton, labelled: LabelledSet
) -> Seen | None:
    """What a set tells of the answers `[P, K, 3]`; None where it allows no PCK.

    Halves are stretches of the file, since neighbours in it may be one film's frames.
    """
    taken = joint_map(skeleton, labelled.skeleton)
    scores = compared(keypoints_img, skeleton, labelled)[0][..., 2]
    for metric in PCK_METRICS:
        hits = hits_of(keypoints_img, skeleton, labelled, metric)
        counted = hits.counted & (taken >= 0)
        if counted.any():
            person, column = np.nonzero(counted)
            return Seen(
                joint=taken[column].astype(np.int64),
                score=scores[counted].astype(np.float64),
                found=hits.found[counted],
                half=(2 * person >= len(scores)).astype(np.int64),
                tolerance=metric,
                data=labelled.name,
            )
    return None


def fitted(sets: Sequence[Seen], joints: int) -> ScoreMap | None:
    """The map, fitted on all of them; None where there is too little to fit on.

    joints: K of the student. `told` has the calibration errors before and after on people of the
    half that each fit did not see.
    """
    if not sets or sum(len(of.score) for of in sets) < FEWEST:
        return None
    joint, score, found, half = (
        np.concatenate([getattr(of, name) for of in sets])
        for name in ("joint", "score", "found", "half")
    )
    across = {
        kind: _across(joint, score, found, half, joints, each=each)
        for kind, each in (("pooled", False), ("per joint", True))
    }
    kind = min(across, key=lambda name: _surprise(across[name], found))
    slope, offset = _fit(joint, score, found, joints, each=kind == "per joint")
    everyone = np.ones_like(found)
    told = {
        "map": kind,
        "data": [of.data for of in sets],
        "tolerance": sets[0].tolerance,
        "joints": len(score),
        "ece_before": round(reliability(score, found, everyone).ece, 4),
        "ece_after": round(reliability(across[kind], found, everyone).ece, 4),
        "held_out": "each half of the people by a map of the other half",
    }
    return ScoreMap(slope.astype(np.float32), offset.astype(np.float32), told)


def _across(
    joint: NDArray[np.int64],
    score: NDArray[np.float64],
    found: NDArray[np.bool_],
    half: NDArray[np.int64],
    joints: int,
    *,
    each: bool,
) -> NDArray[np.float64]:
    """Probabilities `[J]`, every half's by a map that was fitted on the other."""
    told = np.empty_like(score)
    for mine in (0, 1):
        theirs, here = half != mine, half == mine
        slope, offset = _fit(joint[theirs], score[theirs], found[theirs], joints, each=each)
        told[here] = _probability(score[here], slope[joint[here]], offset[joint[here]])
    return told


def _fit(
    joint: NDArray[np.int64],
    score: NDArray[np.float64],
    found: NDArray[np.bool_],
    joints: int,
    *,
    each: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """slope, offset `[K]`. A joint that has too few observations, or whose scores say the opposite
    of the truth, has those of all."""
    slope, offset = (np.full(joints, value) for value in _platt(score, found))
    for k in range(joints) if each else ():
        of = joint == k
        if of.sum() >= FEWEST // 4:
            a, b = _platt(score[of], found[of])
            if a > 0:
                slope[k], offset[k] = a, b
    return np.maximum(slope, EDGE), offset


def _platt(score: NDArray[np.float64], found: NDArray[np.bool_]) -> tuple[float, float]:
    """Logistic regression of being found on the score's logit, by Newton's steps."""
    x = np.stack([_logit(score), np.ones_like(score)], -1)  # [J, 2]
    start = np.array([1.0, 0.0])
    weights = start.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - found) + _RIDGE * (weights - start)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _surprise(told: NDArray[np.float64], found: NDArray[np.bool_]) -> float:
    """Mean logarithmic loss."""
    right = np.where(found, told, 1 - told)
    return float(-np.log(np.clip(right, EDGE, 1)).mean())


def _logit(score: NDArray[Any]) -> NDArray[Any]:
    held = np.clip(score, EDGE, 1 - EDGE)
    logit: NDArray[Any] = np.log(held / (1 - held))
    return logit


def _probability(score: NDArray[Any], slope: NDArray[Any], offset: NDArray[Any]) -> NDArray[Any]:
    told: NDArray[Any] = 1 / (1 + np.exp(-(slope * _logit(score) + offset)))
    return told.astype(score.dtype)

"""A joint's score as the probability that the joint lies within tolerance, and that it is seen.

Platt's map (Platt, 1999) on the logit of what the decoder says: `sigmoid(slope * logit + offset)`,
one for each joint or one for all, whichever is nearer the truth of people it was not fitted on.
That to the score is increasing, so that it changes no order of one joint's answers; that to being
seen may go either way. No torch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.readers import LabelledSet
from model.evaluation import PCK_METRICS, compared, hits_of
from model.metrics.auroc import auroc
from model.metrics.calibration import reliability
from model.skeletons import Skeleton, joint_map

EDGE: Final = 1e-4
"""Scores are held so far from 0 and 1, where the logit ends."""
FEWEST: Final = 200
"""Observations below which nothing is fitted."""
FEWEST_HIDDEN: Final = 50
"""Joints that are hidden, and as many that are seen, below which nothing is told of it."""
_HELD_OUT: Final = "each half of the people by a map of the other half"
_STEPS: Final = 50
_RIDGE: Final = 1.0
"""Pulls slope and offset to 1 and 0 as one doubtful observation would: a joint that was always
found has no finite fit."""


@dataclass(frozen=True)
class Platt:
    """slope, offset: float32 `[K]`, of the student's joints; NaN where nothing is known of one."""

    slope: NDArray[np.float32]
    offset: NDArray[np.float32]

    def of(self, scores: NDArray[Any]) -> NDArray[Any]:
        """The probabilities of scores `[…, K]`."""
        return _probability(scores, self.slope, self.offset)

    def after(self, first: "Platt") -> "Platt":
        """Both as one map, this of what `first` tells."""
        return Platt(self.slope * first.slope, self.slope * first.offset + self.offset)

    def to_json(self) -> dict[str, Any]:
        """NaN becomes None, which is JSON."""
        return {
            name: [None if np.isnan(value) else value for value in values.tolist()]
            for name, values in (("slope", self.slope), ("offset", self.offset))
        }

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "Platt":
        return cls(*(np.asarray(tree[key], np.float32) for key in ("slope", "offset")))


@dataclass(frozen=True)
class ScoreMap:
    """found: from the decoder's scores to the probability that the joint lies within tolerance.
    visible: from the same to the probability that it is seen and not hidden; None where the data
    does not know. told: how they were fitted and how well they do on people that they were not
    fitted on, as JSON; under `visible` that of the second, where there is one."""

    found: Platt
    told: dict[str, Any]
    visible: Platt | None = None

    def applied(self, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
        """Keypoints `[…, K, 3]` with their scores mapped."""
        mapped = keypoints.copy()
        mapped[..., 2] = self.found.of(keypoints[..., 2])
        return mapped

    def to_json(self) -> dict[str, Any]:
        visible = None if self.visible is None else self.visible.to_json()
        return {**self.found.to_json(), "told": self.told, "visible": visible}

    @classmethod
    def from_json(cls, tree: dict[str, Any]) -> "ScoreMap":
        visible = tree.get("visible")
        return cls(
            found=Platt.from_json(tree),
            told=tree["told"],
            visible=None if visible is None else Platt.from_json(visible),
        )


@dataclass(frozen=True)
class Observed:
    """Joints of which is known whether something is true of them, `[J]` each.

    joint: index in the student's skeleton. half: which half of its set's people, 0 or 1.
    """

    joint: NDArray[np.int64]
    score: NDArray[np.float64]
    true: NDArray[np.bool_]
    half: NDArray[np.int64]


@dataclass(frozen=True)
class Seen:
    """What a set tells of a student's answers. found: of labelled joints whether they lie within
    the tolerance; visible: of those whose visibility is known whether they are seen, maybe of none.
    """

    found: Observed
    visible: Observed
    tolerance: str
    data: str


def seen(
    keypoints_img: NDArray[np.float64], skeleton: Skeleton, labelled: LabelledSet
) -> Seen | None:
    """What a set tells of the answers `[P, K, 3]`; None where it allows no PCK.

    Halves are stretches of the file, since neighbours in it may be one film's frames.
    """
    taken = joint_map(skeleton, labelled.skeleton)
    answers, truth = compared(keypoints_img, skeleton, labelled)
    scores = answers[..., 2]

    def observed(counted: NDArray[np.bool_], true: NDArray[np.bool_]) -> Observed:
        person, column = np.nonzero(counted)
        return Observed(
            joint=taken[column].astype(np.int64),
            score=scores[counted].astype(np.float64),
            true=true[counted],
            half=(2 * person >= len(scores)).astype(np.int64),
        )

    for metric in PCK_METRICS:
        hits = hits_of(keypoints_img, skeleton, labelled, metric)
        counted = hits.counted & (taken >= 0)
        if counted.any():
            known = (truth[..., 2] > 0) & (labelled.visible >= 0)
            return Seen(
                found=observed(counted, hits.found),
                visible=observed(known, labelled.visible > 0),
                tolerance=metric,
                data=labelled.name,
            )
    return None


def fitted(sets: Sequence[Seen], joints: int) -> ScoreMap | None:
    """The maps, fitted on all of them; None where there is too little to fit on.

    joints: K of the student. `told` has the calibration errors before and after on people of the
    half that each fit did not see.
    """
    found = _joined([of.found for of in sets])
    if len(found.score) < FEWEST:
        return None
    kind, scores, across = _best(found, joints, increasing=True)
    told = {
        "map": kind,
        "data": [of.data for of in sets],
        "tolerance": sets[0].tolerance,
        "joints": len(found.score),
        "ece_before": round(_ece(found.score, found), 4),
        "ece_after": round(_ece(across, found), 4),
        "held_out": _HELD_OUT,
    }
    visible = _visible(sets, joints)
    if visible is None:
        return ScoreMap(scores, told)
    return ScoreMap(scores, {**told, "visible": visible[1]}, visible[0])


def _visible(sets: Sequence[Seen], joints: int) -> tuple[Platt, dict[str, Any]] | None:
    """The map to being seen, and what is told of it; None where too little is known."""
    observed = _joined([of.visible for of in sets])
    count, shown = len(observed.true), int(observed.true.sum())
    if count < FEWEST or min(shown, count - shown) < FEWEST_HIDDEN:
        return None
    kind, platt, across = _best(observed, joints, increasing=False)
    unknown = ~np.isin(np.arange(joints), observed.joint)
    for values in (platt.slope, platt.offset):
        values[unknown] = np.nan
    return platt, {
        "map": kind,
        "data": [of.data for of in sets if len(of.visible.true)],
        "joints": count,
        "share_visible": round(shown / count, 4),
        "ece": round(_ece(across, observed), 4),
        "auroc": round(auroc(across, observed.true), 4),
        "auroc_one_joint": round(_auroc_one_joint(across, observed), 4),
        "held_out": _HELD_OUT,
    }


def _auroc_one_joint(told: NDArray[np.float64], of: Observed) -> float:
    """Of pairs of the same joint alone: which joint it is tells a good deal by itself."""
    right = pairs = 0.0
    for k in np.unique(of.joint):
        own = of.joint == k
        shown = of.true[own]
        count = float(shown.sum() * (~shown).sum())
        if count:
            right += count * auroc(told[own], shown)
            pairs += count
    return right / pairs if pairs else 0.5


def _joined(sets: Sequence[Observed]) -> Observed:
    def of_all(name: str, kind: type) -> NDArray[Any]:
        return np.concatenate([np.empty(0, kind), *(getattr(of, name) for of in sets)])

    return Observed(
        joint=of_all("joint", np.int64),
        score=of_all("score", np.float64),
        true=of_all("true", np.bool_),
        half=of_all("half", np.int64),
    )


def _best(of: Observed, joints: int, *, increasing: bool) -> tuple[str, Platt, NDArray[np.float64]]:
    """Which map is nearer the truth, the map, and the probabilities `[J]` that every half has by
    one of the other half."""
    across = {
        kind: _across(of, joints, each=each, increasing=increasing)
        for kind, each in (("pooled", False), ("per joint", True))
    }
    kind = min(across, key=lambda name: _surprise(across[name], of.true))
    everyone = np.ones_like(of.true)
    slope, offset = _fit(of, everyone, joints, each=kind == "per joint", increasing=increasing)
    return kind, Platt(slope.astype(np.float32), offset.astype(np.float32)), across[kind]


def _across(of: Observed, joints: int, *, each: bool, increasing: bool) -> NDArray[np.float64]:
    """Probabilities `[J]`, every half's by a map that was fitted on the other."""
    told = np.empty_like(of.score)
    for mine in (0, 1):
        here = of.half == mine
        slope, offset = _fit(of, ~here, joints, each=each, increasing=increasing)
        joint = of.joint[here]
        told[here] = _probability(of.score[here], slope[joint], offset[joint])
    return told


def _fit(
    of: Observed, on: NDArray[np.bool_], joints: int, *, each: bool, increasing: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """slope, offset `[K]`, of the observations `on` `[J]`. A joint that has too few of them has
    those of all, and so has one whose map would not be increasing where it is to be."""
    slope, offset = (np.full(joints, value) for value in _platt(of.score[on], of.true[on]))
    for k in range(joints) if each else ():
        own = on & (of.joint == k)
        if own.sum() >= FEWEST // 4:
            a, b = _platt(of.score[own], of.true[own])
            if a > 0 or not increasing:
                slope[k], offset[k] = a, b
    return np.maximum(slope, EDGE) if increasing else slope, offset


def _platt(score: NDArray[np.float64], true: NDArray[np.bool_]) -> tuple[float, float]:
    """Logistic regression of what is true on the score's logit, by Newton's steps."""
    x = np.stack([_logit(score), np.ones_like(score)], -1)  # [J, 2]
    start = np.array([1.0, 0.0])
    weights = start.copy()
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - true) + _RIDGE * (weights - start)
        curvature = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        weights -= np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    return float(weights[0]), float(weights[1])


def _ece(told: NDArray[np.float64], of: Observed) -> float:
    return reliability(told, of.true, np.ones_like(of.true)).ece


def _surprise(told: NDArray[np.float64], true: NDArray[np.bool_]) -> float:
    """Mean logarithmic loss."""
    right = np.where(true, told, 1 - told)
    return float(-np.log(np.clip(right, EDGE, 1)).mean())


def _logit(score: NDArray[Any]) -> NDArray[Any]:
    held = np.clip(score, EDGE, 1 - EDGE)
    logit: NDArray[Any] = np.log(held / (1 - held))
    return logit


def _probability(score: NDArray[Any], slope: NDArray[Any], offset: NDArray[Any]) -> NDArray[Any]:
    told: NDArray[Any] = 1 / (1 + np.exp(-(slope * _logit(score) + offset)))
    return told.astype(score.dtype)

"""Are left and right exchanged? What one student's answers say of it.

Hardly any network tells front from back with certainty, but it takes all pairs of a person the
same way round: a pair that is labelled against the person's others is suspect, and so is, less
surely, a person who is labelled against all that the student says. Several branches of a run know
more: `model.audit`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from model.data.readers import LabelledSet
from model.skeletons import Skeleton

_APART: Final = 0.12
"""Of the person's longer side: where the two of a pair nearly meet, nothing tells them apart."""
_CLEAR: Final = 0.6
"""Of `votes`, from here on it is one. These two were chosen on planted errors: docs/datasets.md."""
_PERSON: Final = 3
"""So many pairs at least make a person's sides."""


@dataclass(frozen=True)
class Swap:
    """Joints of a person (by the place in the set) whose sides are likely exchanged.

    kind: a `pair` or two of the joints, or all of the `person`. score: 0…1, how far the student's
    points lie at the other side's labels.
    """

    person: int
    kind: Literal["pair", "person"]
    joints: tuple[str, ...]
    score: float


def votes(found: NDArray[np.float64], labelled: LabelledSet) -> NDArray[np.float64]:
    """What a student says of every pair, `[P, Q]`: 1 as labelled, −1 exchanged, 0 nothing.

    found: `[P, K, 3]` in the set's skeleton, its points in image pixels, NaN where it has none. By
    the triangle's inequality no pair gets more than 1.
    """
    left, right = np.array(labelled.skeleton.pair_indices, np.int64).reshape(-1, 2).T
    labels, there = labelled.joints_img[..., :2], labelled.joints_img[..., 2] > 0
    longer = np.array([max(p.box_img.width, p.box_img.height) for p in labelled.people])
    apart = np.linalg.norm(labels[:, left] - labels[:, right], axis=-1)

    def off(point: NDArray[np.int64], label: NDArray[np.int64]) -> NDArray[np.float64]:
        distance: NDArray[np.float64] = np.linalg.norm(
            found[:, point, :2] - labels[:, label], axis=-1
        )
        return distance

    exchanged, as_is = off(left, right) + off(right, left), off(left, left) + off(right, right)
    vote = (exchanged - as_is) / 2 / np.maximum(apart, 1e-9)
    told = there[:, left] & there[:, right] & (apart > _APART * longer[:, None])
    return np.where(told & np.isfinite(vote), vote, 0)


def swaps(found: NDArray[np.float64], labelled: LabelledSet) -> list[Swap]:
    """Who is labelled the wrong way round, wholly or in parts, the likeliest first.

    found: as `votes` takes it.
    """
    skeleton = labelled.skeleton
    vote = votes(found, labelled)
    right, wrong = vote >= _CLEAR, vote <= -_CLEAR
    suspects = [
        *_pairs(vote, wrong, right, skeleton),
        *_pairs(vote, right, wrong, skeleton),
    ]
    for p in np.flatnonzero((wrong.sum(1) >= _PERSON) & ~right.any(1)).tolist():
        joints = _joints(skeleton, np.flatnonzero(wrong[p]).tolist())
        suspects.append(Swap(p, "person", joints, round(float(-vote[p, wrong[p]].mean()), 3)))
    return sorted(suspects, key=lambda swap: (-swap.score, swap.person))


def _pairs(
    vote: NDArray[np.float64],
    few: NDArray[np.bool_],
    many: NDArray[np.bool_],
    skeleton: Skeleton,
) -> list[Swap]:
    """People of whom a few pairs say one thing, and at least twice as many the other."""
    alone = few.any(1) & (many.sum(1) >= 2 * few.sum(1))
    return [
        Swap(
            p,
            "pair",
            _joints(skeleton, np.flatnonzero(few[p]).tolist()),
            round(float(np.abs(vote[p, few[p]]).mean()), 3),
        )
        for p in np.flatnonzero(alone).tolist()
    ]


def _joints(skeleton: Skeleton, pairs: Sequence[int]) -> tuple[str, ...]:
    return tuple(joint for q in pairs for joint in skeleton.flip_pairs[q])

"""What witnesses say of labels, freed of pixels and of how boldly each network speaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.audit.witnesses import Testimony
from model.data.person import Person

ANYWHERE: Final = 0.6
"""How likely a label that was put just anywhere is to lie at each place about its person: one in
1.7 squared body sizes, the box with some room."""

_ROUNDS: Final = 100
_NEAR: Final = 1e-6
"""Body sizes: keeps the median from dividing by zero where two answers are one."""


@dataclass(frozen=True)
class Evidence:
    """Of P people's labels; lengths are in body sizes, the longer side of the person's box.

    labelled: bool `[P, K]`; elsewhere nothing else means anything.
    at_label, at_mirror: float64 `[W, P, K]`, the density with which a witness has the joint where
        its label is, and where the label of its mirror image is.
    consensus_img: `[P, K, 2]`, where the witnesses together have the joint, in image pixels.
    distance: `[P, K]` from there to the label. spread: `[P, K]`, the witnesses' own mean distance
    from there.
    """

    labelled: NDArray[np.bool_]
    at_label: NDArray[np.float64]
    at_mirror: NDArray[np.float64]
    consensus_img: NDArray[np.float64]
    distance: NDArray[np.float64]
    spread: NDArray[np.float64]


def weigh_evidence(people: Sequence[Person], heard: Testimony) -> Evidence:
    """heard: of these people, W witnesses."""
    joints = np.stack([person.joints_img for person in people]).astype(np.float64)
    size = np.array([max(p.box_img.width, p.box_img.height) for p in people])  # [P] px
    labelled = joints[..., 2] > 0
    squared = np.square(size)[:, None]
    mix = _mixed_powers(heard.at_label.mean(1) * squared, labelled)
    points = heard.points_img[..., :2] / size[:, None, None]
    consensus = _median(points, heard.points_img[..., 2])
    return Evidence(
        labelled=labelled,
        at_label=np.tensordot(mix, heard.at_label, 1) * squared,
        at_mirror=np.tensordot(mix, heard.at_mirror, 1) * squared,
        consensus_img=consensus * size[:, None, None],
        distance=np.linalg.norm(consensus - joints[..., :2] / size[:, None, None], axis=-1),
        spread=np.linalg.norm(points - consensus, axis=-1).mean(0),
    )


def _mixed_powers(density: NDArray[np.float64], labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mixture of the maps' powers that explains the labels best, `[G]`, its sum 1.

    density: `[G, P, K]` at the labels. This is temperature scaling (Guo et al., ICML 2017) with
    several temperatures at once, which gives heavy tails; a share of labels that lie anywhere is
    fitted beside them, so that wrong labels do not blunt the rest. Expectation-maximisation; the
    likelihood is concave.
    """
    told = density[:, labelled]  # G labels
    each = np.concatenate([told, np.full((1, told.shape[1]), ANYWHERE)])
    share = np.full(len(each), 1 / len(each))
    for _ in range(_ROUNDS):
        explained = share[:, None] * each
        share = (explained / explained.sum(0)).mean(1) if told.size else share
    mix: NDArray[np.float64] = share[:-1] / share[:-1].sum()
    return mix


def _median(points: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """The geometric median `[P, K, 2]` of W answers, by Weiszfeld's rule, sure ones weighing more.

    points: `[W, P, K, 2]`; score: `[W, P, K]`.
    """
    weight = score.clip(min=1e-3)[..., None]
    middle: NDArray[np.float64] = (weight * points).sum(0) / weight.sum(0)
    for _ in range(_ROUNDS):
        pull = weight / (np.linalg.norm(points - middle, axis=-1, keepdims=True) + _NEAR)
        middle = (pull * points).sum(0) / pull.sum(0)
    return middle

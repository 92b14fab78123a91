"""PCK and PCKh: the share of joints found within a fraction of the person's own size.

PCK: Yang & Ramanan, TPAMI 2013; PCK@0.2 of LSP takes the torso, left shoulder to right hip.
PCKh: Andriluka et al., CVPR 2014; its means and groups are those of the official evaluation as
the HRNet line computes them (`lib/dataset/mpii.py`, `evaluate`), except that there PCKh@0.1 reads
the entry for 0.11.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.metrics.bootstrap import interval_95
from model.skeletons import Skeleton

_LIMB_JOINTS: Final = tuple(
    f"{side}_{joint}"
    for side in ("right", "left")
    for joint in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")
)
"""The joints that every set and every rival model has."""


@dataclass(frozen=True)
class PckResult:
    """Percentages; None where no joint could be counted.

    per_joint: by the joint's name. groups: by the benchmark's line, the plain mean over the
    line's joints (those with a count). mean: over all counted joints of all people, without the
    skeleton's `mean_omits`. limbs: the same over ankles, knees, hips, wrists, elbows, shoulders.
    mean_95, limbs_95: their 95 % intervals (bootstrap over people).
    people, joints: how many were counted for `mean`.
    """

    threshold: float
    per_joint: dict[str, float | None]
    groups: dict[str, float | None]
    mean: float | None
    limbs: float | None
    mean_95: tuple[float, float] | None
    limbs_95: tuple[float, float] | None
    people: int
    joints: int

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


@dataclass(frozen=True)
class Hits:
    """Which joints were found, bool `[N, K]`, and which of them are counted at all."""

    found: NDArray[np.bool_]  # only where counted
    counted: NDArray[np.bool_]


def hits(
    points_img: NDArray[np.floating[Any]],
    joints_img: NDArray[np.floating[Any]],
    normaliser_px: NDArray[np.floating[Any]],
    threshold: float,
    skeleton: Skeleton,
) -> Hits:
    """The joints that are no farther from their label than `threshold` normalisers.

    points_img: `[N, K, 2]` predicted x, y, or more columns that are not looked at; a point that
    is not finite is wrong. joints_img: `[N, K, 3]` x, y and 1 where labelled. normaliser_px:
    `[N]`; people for whom it is not finite or not above 0 are left out.
    Raises ValueError when the shapes do not fit.
    """
    points = np.asarray(points_img, np.float64)[..., :2]
    truth = np.asarray(joints_img, np.float64)
    size = np.asarray(normaliser_px, np.float64)
    N, K = len(truth), len(skeleton)
    if points.shape != (N, K, 2) or truth.shape != (N, K, 3) or size.shape != (N,):
        raise ValueError(
            f"points {points.shape}, joints {truth.shape}, normalisers {size.shape} do not fit"
            f" {K} joints"
        )
    known = np.isfinite(size) & (size > 0)  # [N]
    counted = (truth[:, :, 2] > 0) & known[:, None]  # [N, K]
    off = np.linalg.norm(points - truth[:, :, :2], axis=-1)  # [N, K] px
    off = off / np.where(known, size, 1)[:, None]
    return Hits((off <= threshold) & counted, counted)  # NaN compares false


def pck(
    points_img: NDArray[np.floating[Any]],
    joints_img: NDArray[np.floating[Any]],
    normaliser_px: NDArray[np.floating[Any]],
    threshold: float,
    skeleton: Skeleton,
    *,
    intervals: bool = True,
) -> PckResult:
    """The percentage of joints that `hits` finds, given the same. Raises ValueError as it does.

    intervals: whether they are drawn; a thousand draws cost more than all else here.
    """
    of = hits(points_img, joints_img, normaliser_px, threshold, skeleton)
    found, counted = of.found, of.counted
    found_k, counts = found.sum(0), counted.sum(0)  # [K]
    share = [
        100 * hit / count if count else None for hit, count in zip(found_k, counts, strict=True)
    ]
    per_joint = {
        joint: None if value is None else float(value)
        for joint, value in zip(skeleton.joints, share, strict=True)
    }

    def pooled(joints: Sequence[str]) -> float | None:
        """Over all counted joints: the joints' mean weighted by their counts."""
        rows = [skeleton.index(joint) for joint in joints]
        total = int(counts[rows].sum())
        return 100 * int(found_k[rows].sum()) / total if total else None

    def spread(joints: Sequence[str]) -> tuple[float, float] | None:
        if not intervals:
            return None
        rows = [skeleton.index(joint) for joint in joints]
        return interval_95(found[:, rows].sum(1), counted[:, rows].sum(1))

    in_mean = [joint for joint in skeleton.joints if joint not in skeleton.mean_omits]
    limbs = [joint for joint in _LIMB_JOINTS if joint in skeleton.joints]
    columns = [skeleton.index(joint) for joint in in_mean]
    return PckResult(
        threshold=threshold,
        per_joint=per_joint,
        groups={
            line: _mean([per_joint[joint] for joint in joints])
            for line, joints in skeleton.groups.items()
        },
        mean=pooled(in_mean),
        limbs=pooled(limbs),
        mean_95=spread(in_mean),
        limbs_95=spread(limbs),
        people=int(counted[:, columns].any(1).sum()),
        joints=int(counts[columns].sum()),
    )


def torso_px(joints_img: NDArray[np.floating[Any]], skeleton: Skeleton) -> NDArray[np.float64]:
    """PCK's normaliser `[N]`: the torso's length; NaN where a joint of it has no label.

    joints_img: `[N, K, 3]` x, y and 1 where labelled.
    """
    return _length_px(joints_img, skeleton, skeleton.torso)


def head_px(
    own_px: NDArray[np.floating[Any]], joints_img: NDArray[np.floating[Any]], skeleton: Skeleton
) -> NDArray[np.float64]:
    """PCKh's normaliser `[N]`: the set's own head size, else the head segment's length, else NaN.

    own_px: `[N]`, NaN where the set gives none. The set's own (MPII's validation) is what the
    benchmark takes; the segment stands in for it elsewhere and is not comparable with published
    figures. joints_img: `[N, K, 3]` x, y and 1 where labelled.
    """
    return np.where(np.isnan(own_px), _length_px(joints_img, skeleton, skeleton.head), own_px)


def _length_px(
    joints_img: NDArray[np.floating[Any]], skeleton: Skeleton, segment: tuple[str, str] | None
) -> NDArray[np.float64]:
    joints = np.asarray(joints_img, np.float64)
    if segment is None:
        return np.full(len(joints), np.nan)
    a, b = (joints[:, skeleton.index(joint)] for joint in segment)
    length = np.linalg.norm(a[:, :2] - b[:, :2], axis=-1)
    return np.where((a[:, 2] > 0) & (b[:, 2] > 0), length, np.nan)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None

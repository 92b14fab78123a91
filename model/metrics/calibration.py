"""Whether a joint's score is the chance that the joint lies within tolerance.

Reliability over equal bins of the score, and the expected calibration error: the mean distance
between what the scores promise and what is found (Naeini et al., AAAI 2015; Guo et al., ICML 2017,
eq. 3).
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 10


@dataclass(frozen=True)
class Reliability:
    """Of J joints. By bin (`BINS` of 0…1, the upper edge belongs to the bin): joints int `[BINS]`;
    score, found float `[BINS]`: mean score and share within tolerance, NaN where nobody is.
    """

    joints: NDArray[np.int64]
    score: NDArray[np.float64]
    found: NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error, 0…1; NaN without any joint."""
        total = self.joints.sum()
        if not total:
            return float("nan")
        gap = np.abs(np.nan_to_num(self.score) - np.nan_to_num(self.found))
        return float((self.joints * gap).sum() / total)


def reliability(
    scores: NDArray[np.floating[Any]], found: NDArray[np.bool_], counted: NDArray[np.bool_]
) -> Reliability:
    """scores: 0…1, of any shape; found and counted alike: within tolerance, and whether it counts.

    Raises ValueError when the shapes do not fit.
    """
    if not scores.shape == found.shape == counted.shape:
        raise ValueError(f"{scores.shape}, {found.shape} and {counted.shape} do not fit")
    score, hit = scores[counted].astype(np.float64), found[counted]
    at = np.clip(np.ceil(score * BINS).astype(int) - 1, 0, BINS - 1)
    joints = np.bincount(at, minlength=BINS)

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        total = np.bincount(at, values.astype(np.float64), BINS).astype(np.float64)
        return np.where(joints, total / np.maximum(joints, 1), np.nan)

    return Reliability(joints=joints, score=mean(score), found=mean(hit))

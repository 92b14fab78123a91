"""How well scores tell what is true from what is not: the area under the receiver operating curve.

It is the chance that one of the true has a higher score than one of the others, ties counted half
(Hanley & McNeil, 1982): 0.5 for scores that tell nothing, 1 for those that tell all.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def auroc(scores: NDArray[np.floating[Any]], true: NDArray[np.bool_]) -> float:
    """scores, true: `[J]`. NaN where all or none are true."""
    _, place, ties = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (ties.cumsum() - (ties - 1) / 2)[place]  # the mean of those of the same score
    n = int(true.sum())
    pairs = n * (len(true) - n)
    return float((rank[true].sum() - n * (n + 1) / 2) / pairs) if pairs else float("nan")

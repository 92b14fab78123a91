"""How far a share would move with other people from where these came: the bootstrap over people.

Efron & Tibshirani, 1993, section 13.3 (percentile interval). People are drawn, not joints, since
the joints of one person succeed and fail together.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 1000


def interval_95(
    hits: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]]
) -> tuple[float, float] | None:
    """The 95 % interval, in percent, of Σ hits / Σ counts; None where nobody counts.

    hits, counts: `[N]`, of each person. The draws are seeded: the same people, the same interval.
    """
    N = len(counts)
    if not counts.sum():
        return None
    times = np.random.default_rng(0).multinomial(N, np.full(N, 1 / N), size=DRAWS)  # [DRAWS, N]
    drawn = times @ counts
    share = 100 * (times @ hits)[drawn > 0] / drawn[drawn > 0]
    low, high = np.percentile(share, [2.5, 97.5])
    return float(low), float(high)

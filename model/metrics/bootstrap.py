"""How far a share would move with other people, and with other seeds: the bootstrap.

Efron & Tibshirani, 1993. People are drawn, not joints, since the joints of one person succeed and
fail together. Systems that are compared are measured on the same people, so one draw of people
serves all of them and their difference moves far less than either does (section 8.2, two factors:
Owen, Annals of Applied Statistics 2007).
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DRAWS: Final = 1000
_NORMAL_DF: Final = 1000.0
"""From so many degrees of freedom on Student's t is the normal distribution to three digits."""


def interval_95(
    hits: NDArray[np.integer[Any]], counts: NDArray[np.integer[Any]]
) -> tuple[float, float] | None:
    """The 95 % interval, in percent, of Σ hits / Σ counts; None where nobody counts.

    hits, counts: `[N]`, of each person. The draws are seeded: the same people, the same interval.
    Percentiles of the draws (Efron & Tibshirani, section 13.3).
    """
    if not counts.sum():
        return None
    times = _draws_of_people(len(counts))
    drawn = times @ counts
    share = 100 * (times @ hits)[drawn > 0] / drawn[drawn > 0]
    low, high = np.percentile(share, [2.5, 97.5])
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A number with its 95 % interval, in percent or in points of percent."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low > 0 or self.high < 0

    def to_json(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "value": round(self.value, 3),
            "interval": [round(self.low, 3), round(self.high, 3)],
        }


class PairedBootstrap:
    """Shares of systems that were trained S times and measured on the same P people.

    People are drawn with replacement, the same for all systems; of the seeds S − 1 of S (Rao & Wu,
    JASA 1988: S of S would understate their variance by (S − 1)/S, half of it with two seeds), the
    variance of which need not be drawn: it is that of the seeds' shares over S. What people and
    seeds make together is in both and is counted once. The interval is the estimate ± t standard
    errors. The spread of two or three seeds is hardly known itself, so t is Student's, with the
    degrees of freedom of Welch and Satterthwaite: all but normal where the people's part is the
    larger, up to 12.7 where two seeds disagree more than people do. With one seed the interval is
    of people alone.
    """

    def __init__(self, counts: NDArray[np.integer[Any]]) -> None:
        """counts: `[P]` how many joints of each person are counted. Raises ValueError for none."""
        if not counts.sum():
            raise ValueError("nobody is counted")
        times = _draws_of_people(len(counts))
        drawn = times @ counts
        self._times = times[drawn > 0]
        self._drawn = drawn[drawn > 0]
        self._total = int(counts.sum())

    def mean(self, hits: NDArray[np.integer[Any]]) -> Estimate:
        """Of Σ hits / Σ counts in percent, averaged over seeds. hits: `[S, P]`."""
        found = self._estimate(hits)
        return Estimate(found.value, max(0.0, found.low), min(100.0, found.high))

    def difference(self, hits: NDArray[np.integer[Any]], of: NDArray[np.integer[Any]]) -> Estimate:
        """How many points better `hits` is than `of`; both `[S, P]`, of the same seeds."""
        if hits.shape != of.shape:
            raise ValueError(f"{hits.shape} and {of.shape} are not the same seeds and people")
        return self._estimate(hits.astype(np.int64) - of.astype(np.int64))

    def _estimate(self, hits: NDArray[np.integer[Any]]) -> Estimate:
        S = len(hits)
        of_seed = 100 * hits.sum(1) / self._total  # [S]
        shares = 100 * (self._times @ hits.T) / self._drawn[:, None]  # [draws, S]
        people = float(shares.mean(1).var())
        if S == 1:
            return _within(float(of_seed[0]), people, np.inf)
        together = max(float(shares.var(0).mean()) - people, 0.0) / (S - 1)
        spread = float(of_seed.var(ddof=1)) / S
        variance = people + max(spread - together, 0.0)
        df = (S - 1) * (variance / spread) ** 2 if spread > together else np.inf
        return _within(float(of_seed.mean()), variance, max(df, S - 1))


def _draws_of_people(P: int) -> NDArray[np.int64]:
    """How often each draw takes each person, `[DRAWS, P]`; the same for the same P."""
    return np.random.default_rng(0).multinomial(P, np.full(P, 1 / P), size=DRAWS)


def _within(value: float, variance: float, df: float) -> Estimate:
    reach = student_975(df) * math.sqrt(variance)
    return Estimate(value, value - reach, value + reach)


def student_975(df: float) -> float:
    """The 97.5 % quantile of Student's t with `df` ≥ 1 degrees of freedom, whole or not.

    With x = √df · tan θ the density is proportional to cos^(df − 1) θ, which is summed up.
    """
    theta = np.linspace(0, np.pi / 2, 20_001)
    below = np.cumsum(np.cos((theta[1:] + theta[:-1]) / 2) ** (min(df, _NORMAL_DF) - 1))
    at = np.interp(0.95 * below[-1], below, theta[1:])
    return float(np.sqrt(min(df, _NORMAL_DF)) * np.tan(at))

"""Are left and right exchanged? Of one pair of joints, and of the whole person.

Hardly any network tells front from back with certainty, so a pair by itself says little. But
however a network takes a person, it takes his pairs alike: what it says of the others foretells
what it says of this one, and a pair that goes the other way has been labelled so.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.audit.evidence import ANYWHERE, Evidence
from model.skeletons import Skeleton

Floats = NDArray[np.float64]

_FREEDOM: Final = 4.0
"""Of Student's t: the residuals have heavier tails than a Gaussian's."""
_ROUNDS: Final = 20
_RIDGE: Final = 0.1
_LEAST: Final = 1e-3
"""Of a density, as a share of `ANYWHERE`: what a network holds to be impossible may be."""
_PAIRS: Final = 3
"""So many labelled pairs at least make a person's sides."""


def pairs_of(skeleton: Skeleton) -> NDArray[np.int64]:
    """Positions of (left, right) joints, `[Q, 2]`."""
    return np.array(skeleton.pair_indices, np.int64).reshape(-1, 2)


def exchanged(evidence: Evidence, skeleton: Skeleton) -> Floats:
    """How much likelier the answers are if the two labels of a joint's pair are exchanged.

    Returns the logarithm `[1 + W, P, K]`, of the witnesses together and of each alone; −∞ for
    joints without a labelled partner. What to expect of a pair is a line over the mean of the
    person's other pairs, fitted over all people.
    """
    pairs = pairs_of(skeleton)
    balance, both = _balance(evidence, pairs)
    ratio = np.full((len(balance), *evidence.labelled.shape), -np.inf)
    others = both.sum(-1, keepdims=True) - both
    rest = (balance.sum(-1, keepdims=True) - balance) / np.maximum(others, 1)
    for q, pair in enumerate(pairs):
        at = both[:, q]
        line = _Line.fit(rest[0, at, q], balance[0, at, q])
        found = line.log_ratio(rest[:, at, q], balance[:, at, q])
        for joint in pair:
            ratio[:, at, joint] = found
    return ratio


def turned(evidence: Evidence, skeleton: Skeleton) -> Floats:
    """The same for all pairs of a person at once, `[1 + W, P]`; −∞ for people with few pairs."""
    balance, both = _balance(evidence, pairs_of(skeleton))
    ratio = np.full(balance.shape[:2], -np.inf)
    at = both.sum(-1) >= _PAIRS
    mean = balance[:, at].sum(-1) / np.maximum(both[at].sum(-1), 1)
    nothing = np.zeros_like(mean)
    ratio[:, at] = _Line.fit(nothing[0], mean[0]).log_ratio(nothing, mean)
    return ratio


def _balance(evidence: Evidence, pairs: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """How far the witnesses hold a pair's labels for right rather than exchanged.

    Returns `[1 + W, P, Q]`, together and alone: above 0 for right, a compressed log-ratio, 0 where
    a label is missing; and `[P, Q]` where both are there.
    """
    left, right = pairs.T
    both = evidence.labelled[:, left] & evidence.labelled[:, right]
    as_is, swapped = (
        np.log(np.concatenate([found.mean(0, keepdims=True), found]) + _LEAST * ANYWHERE)
        for found in (evidence.at_label, evidence.at_mirror)
    )
    ratio = as_is[..., left] + as_is[..., right] - swapped[..., left] - swapped[..., right]
    return np.where(both, np.arcsinh(ratio), 0), both


@dataclass(frozen=True)
class _Line:
    """What is to be expected of a pair: `start + slope · rest`, with Student's t around it."""

    start: float
    slope: float
    scale: float

    @classmethod
    def fit(cls, rest: Floats, found: Floats) -> "_Line":
        """By reweighted least squares (Lange et al., JASA 1989); a ridge where people are few."""
        if not len(found):
            return cls(0.0, 0.0, 1.0)
        design = np.stack([np.ones_like(rest), rest], 1)
        weight = np.ones_like(found)
        for turn in range(_ROUNDS):
            heavy = design * weight[:, None]
            normal = heavy.T @ design + _RIDGE * np.eye(2)
            start, slope = np.linalg.solve(normal, heavy.T @ found)
            off = found - start - slope * rest
            if turn:
                scale = float(np.sqrt((weight * off**2).mean()))
            else:
                scale = 1.4826 * float(np.median(np.abs(off)))
            scale += _LEAST
            weight = (_FREEDOM + 1) / (_FREEDOM + (off / scale) ** 2)
        return cls(float(start), float(slope), scale)

    def log_ratio(self, rest: Floats, found: Floats) -> Floats:
        """Of the labels' being exchanged, which turns `found` round, against their being right."""
        expected = self.start + self.slope * rest
        return self._log_density(-found - expected) - self._log_density(found - expected)

    def _log_density(self, off: Floats) -> Floats:
        """Student's t without its constant."""
        density: Floats = -(_FREEDOM + 1) / 2 * np.log1p((off / self.scale) ** 2 / _FREEDOM)
        return density

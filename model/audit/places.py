"""Is a label where its joint is? Of one joint, and of the whole person."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.audit.evidence import ANYWHERE, Evidence

Floats = NDArray[np.float64]

_BLUNDER: Final = 1e-3
"""How often witnesses are sure of a place that has nothing to do with the joint."""
_CONTAGION: Final = 0.2
"""By how much of the share of a person's other labels that they contradict that rises: where the
picture is hard, all of their answers are worth less."""
_CONTRADICTED: Final = 0.05
"""How often a label may be contradicted, before anything is seen."""
_TOGETHER: Final = 4.0
"""So many joints of a person say what one says by itself: a network that lost him lost most."""
_JOINTS: Final = 4
"""So many labelled joints at least make a person."""


def far(evidence: Evidence) -> Floats:
    """How much likelier the answers are if a label lies just anywhere.

    Returns the logarithm `[1 + W, P, K]`, of the witnesses together and of each alone; −∞ where
    there is no label.
    """
    density = _density(evidence)
    labelled = evidence.labelled
    doubt = np.where(labelled, _share(_log_ratio(density[0], _BLUNDER)), 0)
    others = np.maximum(labelled.sum(1, keepdims=True) - 1, 1)
    rest = (doubt.sum(1, keepdims=True) - doubt) / others
    ratio = _log_ratio(density, np.minimum(_BLUNDER + _CONTAGION * rest, 0.5))
    return np.where(labelled, ratio, -np.inf)


def elsewhere(evidence: Evidence) -> Floats:
    """The same for all labels of a person at once, `[1 + W, P]`; −∞ for people with few labels."""
    ratio = np.where(evidence.labelled, _log_ratio(_density(evidence), _BLUNDER), 0)
    enough = evidence.labelled.sum(1) >= _JOINTS
    return np.where(enough, ratio.sum(-1) / _TOGETHER, -np.inf)


def _density(evidence: Evidence) -> Floats:
    """At the labels, `[1 + W, P, K]`."""
    found = evidence.at_label
    return np.concatenate([found.mean(0, keepdims=True), found])


def _log_ratio(density: Floats, blunder: Floats | float) -> Floats:
    right = (1 - blunder) * density + blunder * ANYWHERE
    ratio: Floats = np.log(ANYWHERE) - np.log(right)
    return ratio


def _share(log_ratio: Floats) -> Floats:
    """The probability that a label is contradicted."""
    odds = _CONTRADICTED / (1 - _CONTRADICTED) * np.exp(log_ratio)
    share: Floats = odds / (1 + odds)
    return share

"""The verdict on every label: how likely it is wrong, in which way, and how many say so.

Prior odds times how much likelier the answers are if a label is wrong than if it is right, summed
over the ways in which it may be wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from model.audit import places, sides
from model.audit.evidence import Evidence
from model.skeletons import Skeleton

Floats = NDArray[np.float64]

SWAPPED: Final = "swapped"
FAR: Final = "far"
WRONG_PERSON: Final = "wrong person"
KINDS: Final = (SWAPPED, FAR, WRONG_PERSON)

SUSPECT: Final = "suspect"
HARD: Final = "hard"
FINE: Final = "fine"
UNLABELLED: Final = ""

LABEL_PRIOR: Final = 0.02
"""Of a label to be exchanged with its partner's, and as much to be far from its joint."""
PERSON_PRIOR: Final = 0.005
"""Of a person to be labelled back to front, and as much to be another one."""
SUSPECTED: Final = 0.5
"""A label is suspect if it is rather wrong than right …"""
DISAGREED: Final = 0.1
"""… and the witnesses' answers lie less than so many body sizes from their middle."""

_ROUNDS: Final = 50
_RARELY: Final = 3e-3
"""Of a hundred people a network loses some, however few it seems to have lost."""


@dataclass(frozen=True)
class Verdict:
    """On P people's K labels.

    score: float64 `[P, K]`, the probability that a label is wrong, 0 where there is none.
    kind: `[P, K]` of `KINDS`, the likeliest way to be wrong.
    against: `[P, K]`, the share of the witnesses that each alone contradict the label in that way.
    class_: `[P, K]`: `suspect` (witnesses agree with each other and not with the label), `hard`
        (they disagree with each other), `fine`, or nothing where there is no label.
    consensus_img, distance, spread: what it rests on, as in `Evidence`.
    """

    score: Floats
    kind: NDArray[np.str_]
    against: Floats
    class_: NDArray[np.str_]
    consensus_img: Floats
    distance: Floats
    spread: Floats

    @classmethod
    def joined(cls, parts: Sequence[Self], order: NDArray[np.int64]) -> Self:
        """Of several groups of people one after another, then brought into an order."""
        return cls(
            **{
                field.name: np.concatenate([getattr(part, field.name) for part in parts])[order]
                for field in fields(cls)
            }
        )


def judge(evidence: Evidence, skeleton: Skeleton) -> Verdict:
    """The verdict on labels that the same witnesses have spoken on."""
    sided = (skeleton.flip_order != np.arange(len(skeleton))) & evidence.labelled
    far = places.far(evidence)
    off = far[0] > 0  # also somebody else's label may lie right by chance
    ways = [
        (SWAPPED, LABEL_PRIOR, sides.exchanged(evidence, skeleton)),
        (SWAPPED, PERSON_PRIOR, _of_all(sides.turned(evidence, skeleton), sided)),
        (FAR, LABEL_PRIOR, far),
        (WRONG_PERSON, PERSON_PRIOR, _of_all(places.elsewhere(evidence), off)),
    ]
    odds = np.stack([prior / (1 - prior) * np.exp(ratio[0]) for _, prior, ratio in ways])
    total = odds.sum(0)
    score = np.where(evidence.labelled, total / (1 + total), 0)
    way = odds.argmax(0)  # P K
    alone = np.stack([(ratio[1:] > 0).mean(0) for *_, ratio in ways])
    against = np.take_along_axis(alone, way[None], 0)[0]

    contradicted = score >= SUSPECTED
    disagreed = evidence.spread >= DISAGREED
    class_ = np.where(disagreed, HARD, np.where(contradicted, SUSPECT, FINE))
    return Verdict(
        score=score,
        kind=np.array([kind for kind, *_ in ways])[way],
        against=against,
        class_=np.where(evidence.labelled, class_, UNLABELLED),
        consensus_img=evidence.consensus_img,
        distance=evidence.distance,
        spread=evidence.spread,
    )


def _of_all(log_ratio: Floats, joints: NDArray[np.bool_]) -> Floats:
    """What holds of people `[1 + W, P]` as of their `joints` `[P, K]`; −∞ for their others.

    A network loses or turns round a person now and then. The more often it happens, the less it
    says about his labels: no ratio is larger than one over the share of people of whom it is so.
    """
    share = 0.05
    some = log_ratio[0][np.isfinite(log_ratio[0])]
    for _ in range(_ROUNDS if len(some) else 0):
        odds = share / (1 - share) * np.exp(some)
        share = float(np.clip((odds / (1 + odds)).mean(), _RARELY, 0.5))
    held = np.array(log_ratio)
    held[0] -= np.log1p(share * np.expm1(np.minimum(held[0], 500)))
    return np.where(joints, held[..., None], -np.inf)

"""What was found of one set's labels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.audit.evidence import weigh_evidence
from model.audit.verdict import UNLABELLED, Verdict, judge
from model.audit.witnesses import Run, Testimony
from model.config import SourceConfig
from model.data.mixture import Origin, open_mixture
from model.data.person import Person
from model.skeletons import Skeleton


@dataclass(frozen=True)
class Findings:
    """Of the P people of a set, in the runs' skeleton of K joints.

    first: how many people of the set stand before them. known: bool `[P]`, whether those who
    judged a person had learnt from him.
    """

    origin: Origin
    skeleton: Skeleton
    first: int
    people: list[Person]
    known: NDArray[np.bool_]
    verdict: Verdict

    @classmethod
    def of(
        cls,
        source: SourceConfig,
        runs: Sequence[Run],
        advance: Callable[[int], None] = lambda people: None,
    ) -> Self:
        """Hear runs of one skeleton on a set: each person by those that have not learnt from him.

        By all of them, where every run has. advance: told after every few people how many they
        were. Raises DatasetError.
        """
        skeleton = runs[0].skeleton
        mixture = open_mixture([source], skeleton)
        learnt = np.stack([run.has_learnt(mixture.people) for run in runs])  # R P
        known: NDArray[np.bool_] = np.all(learnt, axis=0)
        speaks = ~learnt | known
        groups = [
            (chosen, np.flatnonzero((chosen == speaks.T).all(1)))
            for chosen in np.unique(speaks.T, axis=0)
        ]
        verdicts = [
            _verdict(
                [run for run, is_heard in zip(runs, chosen, strict=True) if is_heard],
                [mixture.people[i] for i in rows],
                advance,
            )
            for chosen, rows in groups
        ]
        order = np.argsort(np.concatenate([rows for _, rows in groups]))
        return cls(
            origin=mixture.origins[0],
            skeleton=skeleton,
            first=0 if source.format == "synthetic" else source.skip,
            people=mixture.people,
            known=known,
            verdict=Verdict.joined(verdicts, order),
        )

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """`[P, K]`."""
        return np.asarray(self.verdict.class_ != UNLABELLED)

    @property
    def weights(self) -> NDArray[np.float32]:
        """`[P, K]` how far each label is believed: the probability that it is right."""
        return (1 - self.verdict.score).astype(np.float32)


def _verdict(
    runs: Sequence[Run], people: Sequence[Person], advance: Callable[[int], None]
) -> Verdict:
    *others, last = runs
    heard = [run.hear(people) for run in others] + [last.hear(people, advance)]
    evidence = weigh_evidence(people, Testimony.of_more_witnesses(heard))
    return judge(evidence, last.skeleton)

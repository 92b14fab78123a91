"""Several sets as one: every person in one skeleton, joints that a set lacks left unlabelled."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

import numpy as np

from model.config import SourceConfig
from model.data.check import fingerprint
from model.data.person import Person
from model.data.readers import READERS, LabelledSet
from model.data.readers.labelled import Packed
from model.data.synthetic import draw_people
from model.errors import DatasetError
from model.skeletons import MPII16, SKELETONS, Skeleton, joint_map

DRAWN: Final = 1000
"""Figures of `synthetic` where their number is not given."""


@dataclass(frozen=True)
class Origin:
    """One set of a mixture: its name wherever it lies, how many of it were taken, and of what.

    fingerprint: of those people alone, as `model.data.check.fingerprint` has it. packed: of a
    pack, what its splits were cut from and on which terms.
    """

    name: str
    people: int
    fingerprint: str
    packed: tuple[Packed, ...] = ()


@dataclass(frozen=True)
class Weighing:
    """That labels are believed more or less: the weights' SHA-256, and the names of their sets."""

    sha256: str
    sets: tuple[str, ...]


@dataclass(frozen=True)
class Mixture:
    """People of one or more sets."""

    skeleton: Skeleton
    people: list[Person]
    fingerprint: str
    origins: tuple[Origin, ...]
    weighing: Weighing | None = None

    @property
    def learnt(self) -> str:
        """Fingerprint of people, labels and how far each is believed."""
        if self.weighing is None:
            return self.fingerprint
        return hashlib.sha256(f"{self.fingerprint}\n{self.weighing.sha256}".encode()).hexdigest()

    @property
    def sources(self) -> tuple[str, ...]:
        """For people to read."""
        return tuple(f"{origin.name}, {origin.people} people" for origin in self.origins)

    def as_set(self) -> LabelledSet:
        """As if it were one set."""
        name = " + ".join(self.sources)
        return LabelledSet(name, self.skeleton, self.people, name)


def open_source(source: SourceConfig) -> LabelledSet:
    """The set in its own skeleton: `people` of its people, those after the first `skip`.

    Raises DatasetError, where nobody is left too.
    """
    if source.format is None:
        raise DatasetError(str(source.dataset), None, "the data set's name was not resolved")
    if source.format == "synthetic":
        count = source.people or DRAWN
        return LabelledSet(
            name="synthetic",
            skeleton=MPII16,
            people=draw_people(count, first=source.skip, seed=source.seed, size_px=source.size_px),
            source=f"synthetic, {count} figures of seed {source.seed} from {source.skip} on",
        )
    assert source.path is not None  # SourceConfig demands it
    labelled = READERS[source.format](source.path, source.split)
    if not labelled.people:
        raise DatasetError(source.path.name, None, "holds no labelled person")
    end = None if source.people is None else source.skip + source.people
    taken = list(islice(labelled.people, source.skip, end))
    if not taken:
        raise DatasetError(
            labelled.name,
            None,
            f"skip {source.skip} leaves nobody of {len(labelled.people)} people",
        )
    return replace(labelled, people=taken)


def count_people(source: SourceConfig) -> int:
    """How many `open_source` gives, without drawing anybody. Raises DatasetError."""
    if source.format == "synthetic":
        return source.people or DRAWN
    return len(open_source(source).people)


def skeleton_of(name: str, sources: Sequence[SourceConfig]) -> Skeleton:
    """The skeleton that a run learns: a known one, or that of its first set (`source`)."""
    return SKELETONS[name] if name in SKELETONS else open_source(sources[0]).skeleton


def open_mixture(sources: Sequence[SourceConfig], skeleton: Skeleton) -> Mixture:
    """Everybody of every source, in the one skeleton. Raises DatasetError."""
    people: list[Person] = []
    origins = []
    for source in sources:
        labelled = open_source(source)
        converted = in_skeleton(labelled, skeleton)
        if not any(person.labelled.any() for person in converted):
            raise DatasetError(
                labelled.source, None, f"has no joint of the skeleton {skeleton.name}"
            )
        people += converted
        origins.append(
            Origin(labelled.name, len(converted), fingerprint(labelled), labelled.packed)
        )
    prints = [origin.fingerprint for origin in origins]
    digest = hashlib.sha256("\n".join([skeleton.name, *prints]).encode()).hexdigest()
    return Mixture(skeleton, people, digest, tuple(origins))


def in_skeleton(labelled: LabelledSet, skeleton: Skeleton) -> list[Person]:
    """The set's people with the joints of another skeleton; what the set lacks is unlabelled."""
    if labelled.skeleton == skeleton:
        return list(labelled.people)
    taken = joint_map(labelled.skeleton, skeleton)
    have = taken >= 0

    def converted(person: Person) -> Person:
        joints = np.zeros((len(skeleton), 3), np.float32)
        joints[have] = person.joints_img[taken[have]]
        visible = None
        if person.visible is not None:
            visible = np.full(len(skeleton), -1, np.int8)
            visible[have] = person.visible[taken[have]]
        return replace(person, joints_img=joints, visible=visible)

    return [converted(person) for person in labelled.people]

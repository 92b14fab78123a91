"""What a reader gives: a set's labelled people and the skeleton they are labelled in."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.data.person import Person
from model.skeletons import Skeleton


@dataclass(frozen=True)
class Packed:
    """How a split of a pack was made (`okdhp data pack`), and what of.

    fingerprint, terms: of the set that it was cut from. crop_px, padding: people are whole, with
    room to turn and zoom, in crops of so many pixels (H, W) at most and of so much room at most.
    quality: of the pictures' coding.
    """

    fingerprint: str
    terms: str
    crop_px: tuple[int, int]
    padding: float
    quality: int

    def __str__(self) -> str:
        H, W = self.crop_px
        return (
            f"packed for crops of {H} × {W} pixels with padding {self.padding:g}, at quality "
            f"{self.quality}, from the set with the fingerprint {self.fingerprint}; "
            f"terms: {self.terms}"
        )


@dataclass(frozen=True)
class LabelledSet:
    """People with joints, in the file's order.

    name: what the set is called wherever it lies, as `lsp:valid`.
    skeleton: the joints' names and order in every person of it.
    source: where it was read from, as `lsp:/data/lsp:valid`.
    packed: how each of its splits was made, where it was read from a pack.
    """

    name: str
    skeleton: Skeleton
    people: list[Person]
    source: str
    packed: tuple[Packed, ...] = ()

    # What a metric asks of everybody, gathered once: a set is judged on after every epoch.

    @cached_property
    def joints_img(self) -> NDArray[np.float64]:
        """`[P, K, 3]`: x, y in image pixels and 1 where labelled."""
        joints = [person.joints_img for person in self.people]
        return np.array(joints, np.float64).reshape(-1, len(self.skeleton), 3)

    @cached_property
    def head_px(self) -> NDArray[np.float64]:
        """`[P]`: PCKh's head size as the set gives it, NaN where it does not."""
        return np.array([person.head_px or np.nan for person in self.people], np.float64)

    @cached_property
    def visible(self) -> NDArray[np.int8]:
        """`[P, K]`: 1 seen, 0 hidden, −1 where the set does not say."""
        unknown = np.full(len(self.skeleton), -1, np.int8)
        told = [unknown if p.visible is None else p.visible for p in self.people]
        return np.array(told, np.int8).reshape(-1, len(self.skeleton))

    @cached_property
    def has_areas(self) -> bool:
        """Whether everybody has the area that COCO's AP needs."""
        return all("area" in person.origin for person in self.people)


class Reader(Protocol):
    """Reads one format. No image is opened: whether they are there, `check_set` says."""

    def __call__(self, path: Path, split: str | None) -> LabelledSet:
        """The people of a split, or with None of all splits.

        Raises DatasetError naming the file, the row and the fault.
        """
        ...

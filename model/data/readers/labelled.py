"""What a reader gives: a set's labelled people and the skeleton they are labelled in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from model.data.person import Person
from model.skeletons import Skeleton


@dataclass(frozen=True)
class LabelledSet:
    """People with joints, in the file's order.

    name: what the set is called wherever it lies, as `lsp:valid`.
    skeleton: the joints' names and order in every person of it.
    source: where it was read from, as `lsp:/data/lsp:valid`.
    """

    name: str
    skeleton: Skeleton
    people: list[Person]
    source: str


class Reader(Protocol):
    """Reads one format. No image is opened: whether they are there, `check_set` says."""

    def __call__(self, path: Path, split: str | None) -> LabelledSet:
        """The people of a split, or with None of all splits.

        Raises DatasetError naming the file, the row and the fault.
        """
        ...

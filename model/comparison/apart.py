"""Whether two sources share people: nobody may be reported who was learnt from or chosen on."""

from collections.abc import Sequence
from pathlib import Path

from model.config import SourceConfig
from model.data.person import Person


def shared(a: SourceConfig, b: SourceConfig) -> bool:
    """Whether two sources have people in common, as far as their descriptions tell.

    A source without a split is the whole set, so it shares people with each of the set's splits.
    """
    if _set(a) != _set(b):
        return False
    if a.format != "synthetic" and a.split != b.split:
        return a.split is None or b.split is None
    return a.skip < _end(b) and b.skip < _end(a)


def _set(source: SourceConfig) -> tuple[object, ...]:
    """What tells a set from others; of drawn people their seed."""
    if source.format == "synthetic":
        return ("synthetic", source.seed)
    return (source.dataset, source.format, source.path and source.path.resolve())


def _end(source: SourceConfig) -> float:
    count = source.people
    if count is None and source.format == "synthetic":
        count = 1000
    return float("inf") if count is None else source.skip + count


def same_people(a: Sequence[Person], b: Sequence[Person]) -> tuple[int, int]:
    """How many of `a` are in `b` too, and how many others are on photographs of `b`.

    The same person is the same box on the same photograph.
    """
    boxes = {_identity(person) for person in b}
    photographs = {_photograph(person) for person in b}
    same = [person for person in a if _identity(person) in boxes]
    beside = [person for person in a if _photograph(person) in photographs]
    return len(same), len(beside) - len(same)


def _identity(person: Person) -> tuple[object, ...]:
    box = person.on_photograph.box_img
    return (_photograph(person), *(round(v, 2) for v in box.as_list()))


def _photograph(person: Person) -> Path:
    # Links lead to one file; a drawn picture's name is its seed and number.
    return person.photograph if person.pixels is not None else person.photograph.resolve()

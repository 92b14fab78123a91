"""How many exchanged sides a validation suspects, and what it costs: prints a table.

    python benchmarks/validation.py --data ../shared/data

Of the people of `lsp:valid`, `mpii:valid` and `coco:valid` a tenth get the labels of one pair
exchanged, of joints at least 0.12 body sizes apart, and another tenth those of all pairs. The
bundled student, which was trained on none of these people, judges all. LSP, MPII and COCO
have errors of their own, which count as false alarms. Then it names the images of `train` and
`valid` that are copies of each other.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model.data.person import Person
from model.data.readers import READERS, LabelledSet
from model.images import read_image
from model.predictor import BUNDLED, Predictor
from model.validation.looking import look_at
from model.validation.looks import Look, copies
from model.validation.sides import Swap, swaps

APART = 0.12
SETS = (("lsp", "valid"), ("mpii", "valid"), ("coco", "valid"))
FOLDERS = (("lsp", "lsp"), ("lsp", "lspet"), ("mpii", "mpii"), ("coco", "coco"))


@dataclass(frozen=True)
class Planted:
    """pair: of these people the pair that was exchanged; whole: people with all exchanged."""

    labelled: LabelledSet
    pair: dict[int, tuple[str, str]]
    whole: frozenset[int]


def plant(labelled: LabelledSet, seed: int = 0) -> Planted:
    """A set in which a fifth of the people have errors."""
    rng = np.random.default_rng(seed)
    skeleton, people = labelled.skeleton, list(labelled.people)
    order = rng.permutation(len(people)).tolist()
    tenth = len(people) // 10
    pair: dict[int, tuple[str, str]] = {}
    for p in order[:tenth]:
        if apart := _apart(people[p], labelled):
            q = apart[rng.integers(len(apart))]
            people[p] = _exchanged(people[p], labelled, [q])
            pair[p] = skeleton.flip_pairs[q]
    whole = frozenset(order[tenth : 2 * tenth])
    for p in whole:
        people[p] = _exchanged(people[p], labelled, range(len(skeleton.flip_pairs)))
    return Planted(replace(labelled, people=people), pair, whole)


def _apart(person: Person, labelled: LabelledSet) -> list[int]:
    longer = max(person.box_img.width, person.box_img.height)
    joints = person.joints_img
    return [
        q
        for q, (left, right) in enumerate(labelled.skeleton.pair_indices)
        if joints[left, 2] * joints[right, 2] > 0
        and np.linalg.norm(joints[left, :2] - joints[right, :2]) > APART * longer
    ]


def _exchanged(person: Person, labelled: LabelledSet, pairs: Sequence[int]) -> Person:
    joints = person.joints_img.copy()
    for q in pairs:
        left, right = labelled.skeleton.pair_indices[q]
        joints[[left, right]] = joints[[right, left]]
    return replace(person, joints_img=joints)


def row(name: str, planted: Planted, found: Sequence[Swap], seconds: float) -> str:
    """A line of the table."""
    people = len(planted.labelled.people)
    pairs = [swap for swap in found if swap.kind == "pair"]
    wholes = [swap for swap in found if swap.kind == "person"]
    right = sum(set(planted.pair.get(s.person, ("",))) <= set(s.joints) for s in pairs)
    right_wholes = sum(swap.person in planted.whole for swap in wholes)
    return (
        f"| {name} ({people}) | {right} of {len(planted.pair)} | {len(pairs) - right} "
        f"| {right_wholes} of {len(planted.whole)} | {len(wholes) - right_wholes} "
        f"| {1000 * seconds / people:.0f} ms |"
    )


def twice(format_: str, folder: Path) -> str:
    """The pairs of a set's photographs that are alike."""
    looks = {
        split: {
            path.name: Look.of(read_image(path), path.name)
            for path in sorted({p.image for p in READERS[format_](folder, split).people})
        }
        for split in ("train", "valid")
    }
    found = copies(looks)
    pairs = ", ".join(f"{copy.first[1]} = {copy.second[1]}" for copy in found)
    return f"{folder.name}: {len(found)} pairs alike: {pairs}"


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    data: Path = parser.parse_args().data
    student = Predictor(BUNDLED)
    _tell("| people | pairs found | other pairs | persons found | other persons | a person costs |")
    _tell("|---|---|---|---|---|---|")
    for format_, split in SETS:
        planted = plant(READERS[format_](data / format_, split))
        began = time.perf_counter()
        looked = look_at(planted.labelled, student, lambda photographs: None)
        seconds = time.perf_counter() - began
        assert looked.found is not None
        found = swaps(looked.found, planted.labelled)
        _tell(row(f"{format_}:{split}", planted, found, seconds))
    for format_, name in FOLDERS:
        _tell(twice(format_, data / name))


if __name__ == "__main__":
    main()

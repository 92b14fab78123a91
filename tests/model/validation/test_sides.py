"""Left and right, by what a student answers."""

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.data.person import Person
from model.data.readers import LabelledSet
from model.geometry import Box
from model.skeletons import MPII16
from model.validation.sides import swaps, votes

K = len(MPII16)
PAIRS = MPII16.pair_indices
Floats = NDArray[np.float64]


def spread(seed: int = 0) -> Floats:
    """Joints of one person `[K, 3]`, the two of each pair 40 px apart in a box of 200 px."""
    joints = np.ones((K, 3))
    joints[:, 1] = np.linspace(5, 195, K)
    joints[:, 0] = 100 + np.random.default_rng(seed).uniform(-5, 5, K)
    for left, right in PAIRS:
        joints[right, :2] = joints[left, :2] - [40, 0]
    return joints


def exchanged(joints: Floats, *pairs: int) -> Floats:
    turned = joints.copy()
    for q in pairs:
        left, right = PAIRS[q]
        turned[[left, right]] = turned[[right, left]]
    return turned


def people(*labels: Floats) -> LabelledSet:
    box = Box(0, 0, 200, 200)
    some = [Person(Path(f"{i}.jpg"), j.astype(np.float32), box) for i, j in enumerate(labels)]
    return LabelledSet("s", MPII16, some, "s")


def test_a_pair_that_goes_the_other_way_is_suspected() -> None:
    """And nobody who is labelled as he is seen."""
    seen = spread()

    (swap,) = swaps(np.stack([seen, seen]), people(seen, exchanged(seen, 1)))

    assert (swap.person, swap.kind) == (1, "pair")
    assert swap.joints == MPII16.flip_pairs[1]
    assert swap.score == 1


def test_a_network_that_takes_a_person_back_to_front_still_finds_the_pair() -> None:
    """It takes all pairs alike: the odd one is suspected, whatever it says of the others."""
    labels = spread()
    seen = exchanged(labels, 0, 2, 3, 4, 5)

    (swap,) = swaps(seen[None], people(labels))

    assert (swap.kind, swap.joints) == ("pair", MPII16.flip_pairs[1])


def test_a_person_labelled_back_to_front_is_suspected() -> None:
    """Where all that is clear says so."""
    seen = spread()

    (swap,) = swaps(seen[None], people(exchanged(seen, *range(len(PAIRS)))))

    assert (swap.kind, len(swap.joints)) == ("person", 2 * len(PAIRS))


def test_nobody_is_suspected_where_little_is_known() -> None:
    """No answer, joints that nearly meet, labels that are missing: they say nothing."""
    seen = spread()
    near, unlabelled = exchanged(seen, 1), exchanged(seen, 1)
    left, right = PAIRS[1]
    near[left, :2] = near[right, :2] - [3, 0]  # exchanged, if one looked closely
    unlabelled[left, 2] = 0
    nothing = np.full_like(seen, np.nan)

    found = swaps(np.stack([nothing, seen, seen]), people(exchanged(seen, 1), near, unlabelled))

    assert found == []


def test_pairs_are_suspected_by_twice_as_many() -> None:
    """Two against three, or one against one, may be the student's mistake."""
    seen = spread()
    five, two = exchanged(seen, 0, 1), exchanged(seen, 0)
    five[PAIRS[5][0], 2] = 0
    for q in range(2, 6):
        two[PAIRS[q][0], 2] = 0

    found = swaps(np.stack([seen, seen, seen]), people(exchanged(seen, 0, 1), five, two))

    assert [(swap.person, len(swap.joints)) for swap in found] == [(0, 4)]


@given(st.integers(0, 2**32 - 1), st.floats(0, 300))
def test_a_vote_is_at_most_one_and_turns_with_the_labels(seed: int, noise_px: float) -> None:
    """The triangle's inequality; who exchanges both labels of every pair turns every vote."""
    labels = spread(seed)
    seen = labels.copy()
    seen[:, :2] += np.random.default_rng(seed).normal(0, noise_px, (K, 2))

    vote = votes(seen[None], people(labels))
    turned = votes(seen[None], people(exchanged(labels, *range(len(PAIRS)))))

    assert np.abs(vote).max() <= 1 + 1e-6
    np.testing.assert_allclose(turned, -vote, atol=1e-4)

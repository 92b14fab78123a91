"""Left and right: what the others of a person's pairs foretell of one."""

import numpy as np

from model.audit.evidence import weigh_evidence
from model.audit.sides import exchanged, pairs_of, turned
from model.skeletons import COCO17, LSP14

PEOPLE = 80


def ratio_of(court, labels, answers, sigma_px=8):
    people = court.label(labels)
    return exchanged(weigh_evidence(people, court.hear(people, answers, sigma_px)), LSP14)


def test_pairs_are_the_two_sides_of_a_joint():
    """Left before right, each once; the nose is no pair's."""
    pairs = pairs_of(COCO17)

    assert pairs.shape == (8, 2)
    for left, right in pairs:
        assert COCO17.joints[left].replace("left", "right") == COCO17.joints[right]


def test_exchanging_a_pair_turns_what_is_said_of_it(court):
    """A pair does not foretell itself: right becomes wrong by as much."""
    truth = court.poses(PEOPLE, 1)
    answers = court.noisy(truth, seed=1)
    knee = LSP14.index("left_knee")

    before = ratio_of(court, truth, answers)
    after = ratio_of(court, court.exchange(truth, 3, "knee"), answers)

    assert before[0, 3, knee] < -2
    np.testing.assert_allclose(after[:, 3, knee], -before[:, 3, knee], rtol=0.1)


def test_a_pair_that_goes_with_the_others_is_right_however_the_witnesses_turn_the_person(court):
    """They have everybody back to front, which says nothing against one pair."""
    truth = court.poses(PEOPLE, 2)
    answers = court.noisy(truth[:, LSP14.flip_order], seed=2)

    ratio = ratio_of(court, truth, answers)

    sided = pairs_of(LSP14).ravel()
    assert (ratio[0][:, sided] < 0).mean() > 0.99


def test_a_lone_pair_is_judged_by_what_is_said_of_it(court):
    """Of people of whom nothing but the hips is labelled."""
    truth = court.poses(PEOPLE, 3)
    hips = [LSP14.index(f"{side}_hip") for side in ("left", "right")]
    flags = np.zeros(truth.shape[:2], np.bool_)
    flags[:, hips] = True
    people = court.label(court.exchange(truth, 4, "hip"), flags)
    evidence = weigh_evidence(people, court.hear(people, court.noisy(truth, seed=3)))

    ratio = exchanged(evidence, LSP14)[0]

    assert ratio[4, hips[0]] == ratio[:, hips[0]].max() > 2
    assert np.isneginf(ratio[:, LSP14.index("left_knee")]).all()
    assert np.isneginf(turned(evidence, LSP14)).all()


def test_a_few_people_are_enough_for_the_plain_rule(court):
    """Where there is nothing to fit a line on, a pair goes as the person's others do."""
    truth = court.poses(3, 4)
    labels = court.exchange(truth, 1, "elbow")

    ratio = ratio_of(court, labels, court.noisy(truth, seed=4))[0]

    elbow = LSP14.index("left_elbow")
    assert ratio[1, elbow] > 1
    assert (ratio[[0, 2], elbow] < 0).all()


def test_a_joint_without_a_labelled_partner_is_no_pair(court):
    """Nor is one in the middle."""
    truth = court.poses(PEOPLE, 5)
    flags = np.ones(truth.shape[:2], np.bool_)
    flags[2, LSP14.index("left_wrist")] = False
    people = court.label(truth, flags)
    evidence = weigh_evidence(people, court.hear(people, court.noisy(truth, seed=5)))

    ratio = exchanged(evidence, LSP14)

    assert np.isneginf(ratio[:, 2, LSP14.index("right_wrist")]).all()
    assert np.isfinite(ratio[:, 3, LSP14.index("right_wrist")]).all()
    assert np.isneginf(ratio[..., LSP14.index("neck")]).all()

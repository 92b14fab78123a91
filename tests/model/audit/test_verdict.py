"""The verdict on labels where it is known which are wrong, and who is right."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from model.audit.verdict import FAR, FINE, HARD, SUSPECT, SWAPPED, UNLABELLED, WRONG_PERSON
from model.skeletons import LSP14

PEOPLE = 40
SIDED = ("ankle", "knee", "hip", "wrist", "elbow", "shoulder")

seeds = st.integers(0, 2**16)
somebody = st.integers(0, PEOPLE - 1)


@settings(max_examples=20)
@given(seed=seeds, p=somebody, joint=st.sampled_from(SIDED))
def test_an_exchanged_pair_is_found(court, seed, p, joint):
    """Both joints of it, as swapped, before everything else; and they are told to be so."""
    truth = court.poses(PEOPLE, seed)
    people = court.label(court.exchange(truth, p, joint))

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=seed)))

    pair = [LSP14.index(f"{side}_{joint}") for side in ("left", "right")]
    assert (verdict.class_[p, pair] == SUSPECT).all()
    assert (verdict.kind[p, pair] == SWAPPED).all()
    assert (verdict.against[p, pair] == 1).all()
    assert (verdict.class_ == SUSPECT).sum() == 2


@settings(max_examples=20)
@given(seed=seeds, p=somebody, k=st.integers(0, 13), turn=st.floats(0, 6.28))
def test_a_far_label_is_found(court, seed, p, k, turn):
    """Two fifths of the body away, in any direction."""
    truth = court.poses(PEOPLE, seed)
    labels = truth.copy()
    labels[p, k] += 0.4 * court.size_px * np.array([np.cos(turn), np.sin(turn)])
    people = court.label(labels)

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=seed)))

    assert verdict.class_[p, k] == SUSPECT
    assert verdict.score[p, k] == verdict.score.max()
    assert verdict.distance[p, k] > 0.35
    np.testing.assert_allclose(verdict.consensus_img[p, k], truth[p, k], atol=6)
    others = verdict.class_ == SUSPECT
    others[p, [k, LSP14.flip_order[k]]] = (
        False  # beside it, a pair's other joint may look exchanged
    )
    assert not others.any()
    if LSP14.flip_order[k] == k:
        assert verdict.kind[p, k] == FAR


def test_another_person_s_labels_are_found(court):
    """All of them, and of nobody else: of hundreds of people witnesses have lost no other one."""
    truth = court.poses(400, 3)
    labels = truth.copy()
    labels[7] = court.size_px - truth[7][:, ::-1]  # somebody who lies there
    people = court.label(labels)

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=3)))

    found = verdict.class_ == SUSPECT
    assert found[7].sum() >= 10
    assert (verdict.kind[7][found[7]] == WRONG_PERSON).all()
    assert found.sum() == found[7].sum()


def test_a_person_who_is_labelled_back_to_front_is_found(court):
    """Where witnesses tell front from back: no pair goes another way than the others."""
    truth = court.poses(400, 4)
    people = court.label(court.exchange(truth, 5, *SIDED))

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=4)))

    found = verdict.class_ == SUSPECT
    assert found[5].sum() == 12
    assert (verdict.kind[5][found[5]] == SWAPPED).all()
    assert found.sum() == 12


def test_witnesses_who_often_turn_people_round_condemn_nobody(court):
    """One person in ten, all pairs of him: it is they who err."""
    truth = court.poses(400, 9)
    people = court.label(truth)
    answers = court.noisy(truth, seed=9)
    answers[:, ::10] = answers[:, ::10][:, :, LSP14.flip_order]

    verdict = court.judge(people, court.hear(people, answers))

    assert (verdict.class_ == SUSPECT).sum() == 0


def test_witnesses_who_often_lose_people_condemn_hardly_anybody(court):
    """One person in ten, all joints of him; some of his pairs look exchanged by chance."""
    truth = court.poses(400, 10)
    people = court.label(truth)
    answers = court.noisy(truth, seed=10)
    answers[:, ::10] = court.size_px - answers[:, ::10][..., ::-1]

    verdict = court.judge(people, court.hear(people, answers))

    assert (verdict.class_[::10] == SUSPECT).mean() < 0.06
    assert (np.delete(verdict.class_, np.s_[::10], 0) == SUSPECT).sum() == 0


def test_witnesses_who_cannot_tell_front_from_back_still_find_an_exchanged_pair(court):
    """They see every person the same way round, and say so of all pairs but one."""
    truth = court.poses(PEOPLE, 5)
    people = court.label(court.exchange(truth, 2, "elbow"))
    turned = truth[:, LSP14.flip_order]
    rng = np.random.default_rng(0)
    way = rng.random(PEOPLE) < 0.5
    answers = court.noisy(np.where(way[:, None, None], turned, truth), seed=5)

    verdict = court.judge(people, court.hear(people, answers, sigma_px=8))

    pair = [LSP14.index("left_elbow"), LSP14.index("right_elbow")]
    first = np.argsort(-verdict.score, axis=None)[:2]
    assert set(first) == {2 * len(LSP14) + k for k in pair}


def test_witnesses_who_disagree_make_a_label_hard(court):
    """Whatever they say: no label is suspect because of one who is alone, and none is fine."""
    truth = court.poses(PEOPLE, 6)
    people = court.label(truth)
    answers = court.noisy(truth, seed=6)
    scattered = np.random.default_rng(6).uniform(0, court.size_px, (4, 2))
    answers[:, 9, 4] = scattered

    verdict = court.judge(people, court.hear(people, answers))

    assert verdict.class_[9, 4] == HARD
    assert verdict.spread[9, 4] > 0.1
    assert (verdict.class_ == HARD).sum() == 1
    assert (verdict.class_ == SUSPECT).sum() == 0


def test_one_witness_of_four_condemns_nobody(court):
    """The others hold the label for right."""
    truth = court.poses(PEOPLE, 7)
    people = court.label(truth)
    answers = court.noisy(truth, seed=7)
    answers[0, 3, 6] += 30

    verdict = court.judge(people, court.hear(people, answers))

    assert verdict.class_[3, 6] != SUSPECT
    assert verdict.score[3, 6] < 0.1


@settings(max_examples=20)
@given(seed=seeds)
def test_clean_labels_are_fine(court, seed):
    """Nothing is suspect, and every label is believed nearly whole."""
    truth = court.poses(PEOPLE, seed)
    people = court.label(truth)

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=seed)))

    assert (verdict.class_ == FINE).all()
    assert verdict.score.max() < 0.1


@settings(max_examples=20)
@given(seed=seeds, share=st.floats(0.05, 0.9))
def test_what_has_no_label_is_not_judged(court, seed, share):
    """However far off the point is that stands there, and however few labels there are."""
    truth = court.poses(PEOPLE, seed)
    flags = np.random.default_rng(seed).random(truth.shape[:2]) < share
    people = court.label(truth, flags)

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=seed)))

    assert (verdict.class_[~flags] == UNLABELLED).all()
    assert (verdict.score[~flags] == 0).all()
    assert (verdict.class_[flags] == FINE).all()
    assert np.isfinite(verdict.score).all()


@settings(max_examples=10)
@given(seed=seeds, by=st.floats(0.2, 5))
def test_neither_order_nor_the_photographs_size_matters(court, seed, by):
    """Of people, of witnesses, and each person's own scale."""
    truth = court.poses(PEOPLE, seed)
    labels = court.exchange(truth, 1, "wrist")
    labels[4, 13] += 30
    people = court.label(labels)
    answers = court.noisy(truth, seed=seed)
    before = court.judge(people, court.hear(people, answers))
    rng = np.random.default_rng(seed)
    order, others = rng.permutation(PEOPLE), rng.permutation(len(answers))

    larger = [court.enlarge(people[i], by) for i in order]
    after = court.judge(larger, court.hear(larger, by * answers[others][:, order], 4 * by))

    np.testing.assert_allclose(after.score, before.score[order], rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(after.class_, before.class_[order])
    np.testing.assert_allclose(after.distance, before.distance[order], atol=1e-4)
    np.testing.assert_allclose(after.consensus_img, by * before.consensus_img[order], atol=0.02)


def test_a_single_person_can_be_judged(court):
    """There is nothing to fit on; the verdict is what the witnesses plainly say."""
    truth = court.poses(1, 8)
    labels = truth.copy()
    labels[0, 12] += 40
    people = court.label(labels)

    verdict = court.judge(people, court.hear(people, court.noisy(truth, seed=8)))

    assert verdict.score[0, 12] == verdict.score.max()
    assert np.isfinite(verdict.score).all()

"""What witnesses say, in body sizes and true probabilities."""

import numpy as np
import pytest

from model.audit.evidence import weigh_evidence

PEOPLE = 60


def test_one_who_is_far_off_does_not_move_the_consensus(court):
    """Three agree; the mean would lie a tenth of the body away."""
    truth = court.poses(PEOPLE, 0)
    people = court.label(truth)
    answers = court.noisy(truth, seed=0, noise_px=0.1)
    answers[1, :, 6] += 40

    evidence = weigh_evidence(people, court.hear(people, answers))

    np.testing.assert_allclose(evidence.consensus_img, truth, atol=1)
    assert evidence.spread[0, 6] == pytest.approx(0.25 * np.hypot(40, 40) / court.size_px, abs=0.01)


def test_those_who_are_sure_weigh_more(court):
    """Two against two: the place is that of the sure ones."""
    truth = court.poses(PEOPLE, 1)
    people = court.label(truth)
    answers = court.noisy(truth, seed=1, noise_px=0)
    answers[2:, :, 3, 0] += 20
    heard = court.hear(people, answers)
    heard.points_img[2:, :, 3, 2] = 0.2

    evidence = weigh_evidence(people, heard)

    np.testing.assert_allclose(evidence.consensus_img[:, 3], truth[:, 3], atol=1)
    np.testing.assert_allclose(evidence.distance[:, 3], 0, atol=0.01)


def test_maps_that_are_vaguer_than_they_need_to_be_are_sharpened(court):
    """Two pixels of noise, and maps of eight: labels become likelier than the maps say."""
    truth = court.poses(PEOPLE, 2)
    people = court.label(truth)
    heard = court.hear(people, court.noisy(truth, seed=2), sigma_px=8)

    evidence = weigh_evidence(people, heard)

    as_said = heard.at_label[0] * court.size_px**2
    assert np.log(evidence.at_label / as_said).mean() > 1


def test_maps_that_are_too_sure_are_taken_as_they_are(court):
    """Six pixels of noise, and maps of two: no power makes that likelier."""
    truth = court.poses(PEOPLE, 3)
    people = court.label(truth)
    heard = court.hear(people, court.noisy(truth, seed=3, noise_px=6), sigma_px=2)

    evidence = weigh_evidence(people, heard)

    as_said = heard.at_label[0] * court.size_px**2
    np.testing.assert_allclose(evidence.at_label, as_said, rtol=0.02)


def test_wrong_labels_do_not_blunt_the_maps(court):
    """A fifth of the labels lies anywhere; the others are told as sharply as without them."""
    truth = court.poses(PEOPLE, 4)
    labels = truth.copy()
    rng = np.random.default_rng(4)
    wrong = rng.random(labels.shape[:2]) < 0.2
    labels[wrong] = rng.uniform(0, court.size_px, (wrong.sum(), 2))
    answers = court.noisy(truth, seed=4)

    clean, spoilt = (
        weigh_evidence(people, court.hear(people, answers, sigma_px=8))
        for people in (court.label(truth), court.label(labels))
    )

    ratio = np.log(spoilt.at_label[:, ~wrong] / clean.at_label[:, ~wrong])
    assert abs(ratio.mean()) < 0.1

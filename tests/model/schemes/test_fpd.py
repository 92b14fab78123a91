"""`fpd`: the label and the teacher share the loss."""

import pytest
import torch


def test_the_loss_is_the_papers(make_case, in_loops):
    """(1 − α) · Σ gt(Z, G) + α · Σ gt(Z, teacher), α ½, half squared errors of labelled joints."""
    case = make_case("fpd", "mse", teacher="a-run")

    losses = case.losses()

    gt = [in_loops.gt(z, case.target, case.seen, "mse") for z in case.maps.every]
    mimicry = [in_loops.gt(z, case.teacher, case.seen, "mse") for z in case.maps.every]
    assert losses.label.item() == pytest.approx(0.5 * sum(gt), rel=1e-5)
    assert losses.distill.item() == pytest.approx(0.5 * sum(mimicry), rel=1e-5)
    assert losses.ensemble.item() == 0.0


def test_logits_learn_from_the_teachers_distribution(make_case, in_loops):
    """With `ce` the teacher's term is the KL, at the temperature asked for."""
    case = make_case("fpd", "ce", teacher="a-run", alpha=0.25, temperature=2.0)

    losses = case.losses()

    gt = [in_loops.gt(z, case.target, case.seen, "ce") for z in case.maps.every]
    kl = [in_loops.kl(z, case.teacher, case.seen, 2.0) for z in case.maps.every]
    assert losses.label.item() == pytest.approx(0.75 * sum(gt), rel=1e-5)
    assert losses.distill.item() == pytest.approx(0.25 * sum(kl), rel=1e-4)


def test_the_ramp_is_nothing_to_it(make_case):
    """The teacher knows from the first epoch on what it knows."""
    case = make_case("fpd", "mse", teacher="a-run")

    assert torch.equal(case.losses(ramp=0.0).total, case.losses(ramp=1.0).total)


@pytest.mark.parametrize(("alpha", "silent"), [(0.0, "distill"), (1.0, "label")])
def test_either_may_have_all_of_it(make_case, alpha: float, silent: str):
    """α 0 is the student alone, α 1 the teacher alone."""
    losses = make_case("fpd", "mse", teacher="a-run", alpha=alpha).losses()

    assert losses.parts()[silent].item() == 0.0
    assert losses.total.item() > 0.0

"""`mean`: OKDHP with the plain mean in the place of the FAU."""

import pytest
import torch


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_okdhps_with_a_plain_mean(make_case, in_loops, term: str):
    """Σ gt(Z, G) + 6 · gt(T, G) + 5 · r · Σ KL(σ(T) ‖ σ(Z)), T the mean of the last maps."""
    case = make_case("mean", term)

    losses = case.losses(ramp=0.25)

    T = (case.last(0) + case.last(1) + case.last(2)) / 3
    torch.testing.assert_close(case.scheme.ensemble(case.maps), T)
    gt = [in_loops.gt(z, case.target, case.seen, term) for z in case.maps.every]
    kl = [in_loops.kl(z, T, case.seen, 1.0, "pixels") for z in case.maps.every]
    own = in_loops.gt(T, case.target, case.seen, term)
    assert losses.label.item() == pytest.approx(sum(gt), rel=1e-5)
    assert losses.ensemble.item() == pytest.approx(6 * own, rel=1e-5)
    assert losses.distill.item() == pytest.approx(5 * 0.25 * sum(kl), rel=1e-4)


def test_it_has_no_weights_of_its_own(make_case):
    """That is what the paper's ablation takes away."""
    assert list(make_case("mean").scheme.parameters()) == []

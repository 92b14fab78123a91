"""`none`: the label alone, the ground that every gain is measured from."""

import pytest
import torch

from model.losses import label_loss


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_the_label_term_of_every_map_and_no_more(make_case, in_loops, term: str):
    """Σ gt(Z, G); nobody teaches and no ensemble is asked."""
    case = make_case("none", term)

    losses = case.losses()

    expected = sum(in_loops.gt(z, case.target, case.seen, term) for z in case.maps.every)
    assert losses.label.item() == pytest.approx(expected, rel=1e-5)
    assert (losses.ensemble.item(), losses.distill.item()) == (0.0, 0.0)


def test_no_branch_moves_another(make_case):
    """Each branch's gradient is what it would be without the others."""
    case, alone = make_case("none"), make_case("none")
    case.losses().total.backward()

    label_loss(alone.maps.branches[0], alone.target, alone.seen, "ce").backward()

    torch.testing.assert_close(case.maps.branches[0].grad, alone.maps.branches[0].grad)

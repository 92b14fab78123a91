"""`dml`: every branch learns from the mean over its peers, never from itself."""

import pytest
import torch


def peers_of(branch: int | None, branches: int) -> list[int]:
    """All for a shared stack's map, which is of every branch."""
    return [c for c in range(branches) if c != branch]


@pytest.mark.parametrize("branches", [2, 3])
@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_the_papers(make_case, in_loops, branches: int, term: str):
    """Σ_b Σ_s [ gt(Z, G) + 1/(B−1) Σ_{c≠b} KL(σ(last of c) ‖ σ(Z)) ], without temperature."""
    case = make_case("dml", term, branches)

    losses = case.losses()

    owners = [(z, None) for z in case.maps.shared]
    owners += [(z, b) for b in range(branches) for z in case.maps.branches[b]]
    expected = 0.0
    for z, b in owners:
        peers = peers_of(b, branches)
        each = [in_loops.kl(z, case.last(c), case.seen, 1.0) for c in peers]
        expected += sum(each) / len(peers)
    gt = [in_loops.gt(z, case.target, case.seen, term) for z, _ in owners]
    assert losses.label.item() == pytest.approx(sum(gt), rel=1e-5)
    assert losses.distill.item() == pytest.approx(expected, rel=1e-5)
    assert losses.ensemble.item() == 0.0


def test_a_target_takes_no_gradient(make_case):
    """A branch is moved by what it learns, not by what it teaches: its own KL is all there is."""
    case = make_case("dml", branches=2)
    first, second = case.maps.branches

    case.losses().distill.backward()

    p, q = (m[-1].detach().flatten(-2).softmax(-1) for m in (first, second))
    by_hand = (q - p) * case.seen[..., None] / case.seen.sum()  # of KL(p ‖ q), by q's logits
    torch.testing.assert_close(second.grad[-1].flatten(-2), by_hand)


def test_equal_branches_have_nothing_to_teach(make_case):
    """KL of equal distributions: nothing, whatever the label says."""
    case = make_case("dml")
    same = case.last(0).detach().clone()
    with torch.no_grad():
        for maps in (case.maps.shared, *case.maps.branches):
            maps.copy_(same.expand_as(maps))

    assert case.losses().distill.item() == pytest.approx(0, abs=1e-5)


def test_peers_that_miss_the_label_teach_less_where_asked(make_case, in_loops):
    """By min(1, e(Z) / e(T)), e(T) the mean of the peers' errors above a perfect map's."""
    case = make_case("dml", "ce", weigh_by_fit=True)

    found = case.losses().distill.item()

    def gap(z: torch.Tensor, n: int, k: int) -> float:
        return in_loops.gap(z[n, k], case.target[n, k], "ce")

    expected = 0.0
    owners = [(z, None) for z in case.maps.shared]
    owners += [(z, b) for b in range(3) for z in case.maps.branches[b]]
    for z, b in owners:
        peers = peers_of(b, 3)

        def share(n: int, k: int, z=z, peers=peers) -> float:
            theirs = sum(gap(case.last(c), n, k) for c in peers) / len(peers)
            return min(1.0, gap(z, n, k) / theirs)

        for c in peers:
            expected += in_loops.kl(z, case.last(c), case.seen, 1.0, share=share) / len(peers)
    assert found == pytest.approx(expected, rel=1e-4)
    assert found < make_case("dml", "ce").losses().distill.item()

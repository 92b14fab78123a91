"""`okddip`: what each peer attends to, and what its leader learns from."""

import math

import pytest
import torch
from torch import Tensor


def attention_by_hand(scheme, features: tuple[Tensor, ...]) -> list[list[list[float]]]:
    """α of every person: softmax over b of L(h_a) · E(h_b)."""
    asks, answers = scheme.attention.asks, scheme.attention.answers
    people = []
    for n in range(len(features[0])):
        pooled = [h[n].detach().double().mean((-2, -1)) for h in features]
        rows = []
        for a in pooled:
            question = asks[str(len(a))].weight.detach().double() @ a
            powers = []
            for b in pooled:
                reply = answers[str(len(b))].weight.detach().double() @ b
                powers.append(math.exp(float(question @ reply)))
            rows.append([power / sum(powers) for power in powers])
        people.append(rows)
    return people


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_the_papers(make_case, in_loops, term: str):
    """Σ gt + 3² · r · [ Σ_a KL(σ₃(Σ_b α_ab Z_b) ‖ σ₃(Z_a)) + KL(σ₃(Z̄) ‖ σ₃(Z_leader)) ]."""
    case = make_case("okddip", term)

    losses = case.losses(ramp=0.25)

    alpha = attention_by_hand(case.scheme, case.maps.branch_features[:2])
    peers = [case.last(0), case.last(1)]
    own = [
        torch.stack([sum(alpha[n][a][b] * peers[b][n] for b in (0, 1)) for n in (0, 1)])
        for a in (0, 1)
    ]
    leaders = (peers[0] + peers[1]) / 2
    lessons = [(z, leaders) for z in (*case.maps.shared, *case.maps.branches[2])]
    lessons += [(z, own[a]) for a in (0, 1) for z in case.maps.branches[a]]
    kl = [in_loops.kl(z, T, case.seen, 3.0) for z, T in lessons]
    gt = [in_loops.gt(z, case.target, case.seen, term) for z in case.maps.every]
    assert losses.label.item() == pytest.approx(sum(gt), rel=1e-5)
    assert losses.distill.item() == pytest.approx(9 * 0.25 * sum(kl), rel=1e-3)
    assert losses.ensemble.item() == 0.0


def test_what_is_deployed_leads_and_is_in_no_target(make_case):
    """The leader's map moves no target and is not in the ensemble."""
    case = make_case("okddip")
    before = case.scheme.ensemble(case.maps)
    targets = case.scheme._teachers(case.maps)
    with torch.no_grad():
        case.maps.branches[-1].add_(torch.randn(1))

    torch.testing.assert_close(case.scheme.ensemble(case.maps), before)
    torch.testing.assert_close(case.scheme._teachers(case.maps), targets)
    torch.testing.assert_close(before, (case.last(0) + case.last(1)) / 2)


def test_the_attention_learns_from_the_kl_alone(make_case):
    """No target is detached: nothing else would teach the projections."""
    taught, labelled = make_case("okddip"), make_case("okddip")

    taught.losses().distill.backward()
    labelled.losses().label.backward()

    assert all(p.grad is not None and p.grad.any() for p in taught.scheme.parameters())
    assert all(p.grad is None for p in labelled.scheme.parameters())


def test_the_leaders_kl_moves_its_peers_too(make_case):
    """As in their code: what the leader cannot learn the peers come towards."""
    case = make_case("okddip", branches=2)
    peer, leader = case.maps.branches

    case.losses().distill.backward()

    # The peer's KL to itself leaves rounding alone.
    assert peer.grad[-1].norm() > 0.01 * leader.grad[-1].norm() > 0


def test_with_two_branches_the_peer_is_its_own_target(make_case, in_loops):
    """α = 1: it learns from the label, the leader from it; there is nothing to attend to."""
    case = make_case("okddip", branches=2)
    peer, leader = case.maps.branches

    losses = case.losses()

    lessons = [*case.maps.shared, *leader]
    kl = [in_loops.kl(z, peer[-1], case.seen, 3.0) for z in lessons]
    assert list(case.scheme.parameters()) == []
    assert losses.distill.item() == pytest.approx(9 * sum(kl), rel=1e-3)
    torch.testing.assert_close(case.scheme.ensemble(case.maps), peer[-1])


@pytest.mark.parametrize(("hidden", "length"), [(None, 1), (5, 5)])
def test_vectors_are_an_eighth_of_the_width_as_published(make_case, hidden, length: int):
    """Peers of another width have projections of their own to the same length."""
    scheme = make_case("okddip", **({"hidden": hidden} if hidden else {})).scheme

    for projections in (scheme.attention.asks, scheme.attention.answers):
        shapes = {width: tuple(p.weight.shape) for width, p in projections.items()}
        assert shapes == {"8": (length, 8), "12": (length, 12)}

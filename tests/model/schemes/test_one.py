"""`one`: the gate, its ensemble, and whom that teaches."""

import math

import pytest
import torch
from torch import Tensor

from model.schemes.one import Gate


def gate_by_hand(gate: Gate, features: Tensor) -> list[list[float]]:
    """Of every person a weight a branch: FC, BN over the batch, ReLU, softmax."""
    pooled = features.detach().double().mean((-2, -1))
    scores = (pooled @ gate.score.weight.detach().double().T).tolist()
    people, branches = len(scores), len(scores[0])
    for b in range(branches):
        column = [row[b] for row in scores]
        mean = sum(column) / people
        variance = sum((v - mean) ** 2 for v in column) / people
        for row in scores:
            row[b] = max(0.0, (row[b] - mean) / math.sqrt(variance + gate.norm.eps))
    powers = [[math.exp(v) for v in row] for row in scores]
    return [[power / sum(row) for power in row] for row in powers]


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_the_papers(make_case, in_loops, term: str):
    """Σ gt(Z, G) + gt(T, G) + 3² · r · Σ KL(σ₃(T) ‖ σ₃(Z)), T = Σ_b g_b · (last of b)."""
    case = make_case("one", term)

    losses = case.losses(ramp=0.25)

    g = torch.tensor(gate_by_hand(case.scheme.gate, case.maps.features))  # N B
    T = sum(g[:, b, None, None, None] * case.last(b) for b in range(3))
    torch.testing.assert_close(case.scheme.ensemble(case.maps), T.float(), rtol=1e-4, atol=1e-5)
    gt = [in_loops.gt(z, case.target, case.seen, term) for z in case.maps.every]
    kl = [in_loops.kl(z, T, case.seen, 3.0) for z in case.maps.every]
    own = in_loops.gt(T, case.target, case.seen, term)
    assert losses.label.item() == pytest.approx(sum(gt), rel=1e-5)
    assert losses.ensemble.item() == pytest.approx(own, rel=1e-4)
    assert losses.distill.item() == pytest.approx(9 * 0.25 * sum(kl), rel=1e-3)


def test_the_gate_learns_from_the_label_and_not_from_its_pupils(make_case):
    """Their code takes no gradient through the target."""
    taught, labelled = make_case("one"), make_case("one")

    taught.losses().distill.backward()
    labelled.losses().ensemble.backward()

    assert all(p.grad is None for p in taught.scheme.parameters())
    assert labelled.scheme.gate.score.weight.grad.any()


def test_a_gate_says_one_number_a_branch_for_all_joints():
    """And each person has numbers of their own."""
    gate = Gate(8, branches=3)
    features = torch.randn(5, 8, 6, 4, generator=torch.Generator().manual_seed(0))

    weights = gate(features)

    assert weights.shape == (5, 3)
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    assert not torch.allclose(weights[0], weights[1])


def test_one_person_is_weighed_by_the_statistics_kept_so_far():
    """A batch of one has none; it does not change them either."""
    gate = Gate(8, branches=2)
    many = torch.randn(16, 8, 6, 4, generator=torch.Generator().manual_seed(0))
    for _ in range(40):
        gate(many)
    kept = gate.norm.running_mean.clone()

    alone = gate(many[:1])

    torch.testing.assert_close(gate.norm.running_mean, kept)
    torch.testing.assert_close(alone, gate.eval()(many[:1]))
    alone.sum().backward()

"""OKDHP's own loss: its weights, its ramp, whom its target teaches, and each option's effect."""

import pytest
import torch
from torch import Tensor


def target_by_hand(case) -> Tensor:
    """T = Σ_b a_b · (last of b), a from the FAU."""
    weights = case.scheme.fau(case.maps.features)  # N B K
    return sum(weights[:, b, :, None, None] * case.last(b) for b in range(3))


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_the_loss_is_the_papers(make_case, in_loops, term: str):
    """Σ gt(Z, G) + 6 · gt(T, G) + 5 · r · Σ KL(σ(T) ‖ σ(Z)), the KL divided by N·h·w."""
    case = make_case("okdhp", term)

    losses = case.losses(ramp=0.25)

    T = target_by_hand(case)
    torch.testing.assert_close(case.scheme.ensemble(case.maps), T)
    gt = [in_loops.gt(z, case.target, case.seen, term) for z in case.maps.every]
    kl = [in_loops.kl(z, T, case.seen, 1.0, "pixels") for z in case.maps.every]
    own = in_loops.gt(T, case.target, case.seen, term)
    assert losses.label.item() == pytest.approx(sum(gt), rel=1e-5)
    assert losses.ensemble.item() == pytest.approx(6 * own, rel=1e-5)
    assert losses.distill.item() == pytest.approx(5 * 0.25 * sum(kl), rel=1e-4)


def test_a_detached_target_does_not_move_towards_its_students(make_case):
    """The KL then teaches the branches alone; the FAU learns from the label."""
    attached, detached = make_case("okdhp"), make_case("okdhp", detach=True)

    attached.losses().distill.backward()
    detached.losses().distill.backward()

    assert all(p.grad is not None for p in attached.scheme.fau.heads.parameters())
    assert all(p.grad is None for p in detached.scheme.fau.parameters())


def test_a_detached_target_still_learns_from_the_label(make_case):
    """gt(T, G) trains the FAU and every branch's last map."""
    case = make_case("okdhp", detach=True)

    case.losses().ensemble.backward()

    assert all(p.grad is not None for p in case.scheme.fau.parameters())
    assert all(m.grad is not None and m.grad[-1].any() for m in case.maps.branches)


@pytest.mark.parametrize("part", ["ensemble", "distill"])
def test_a_weight_of_zero_leaves_its_part_out(make_case, part: str):
    """For an ablation."""
    key = {"ensemble": "lambda_ens", "distill": "lambda_kd"}[part]

    assert make_case("okdhp", **{key: 0}).losses().parts()[part].item() == 0.0


def test_the_averaged_twins_ensemble_teaches_in_the_place_of_the_living_one(make_case, in_loops):
    """The branches' own ensemble keeps its label term, by which the FAU learns."""
    case = make_case("okdhp", "ce", average_teacher=True, kl_mean="joints")

    losses = case.losses()

    kl = [in_loops.kl(z, case.teacher, case.seen, 1.0) for z in case.maps.every]
    own = in_loops.gt(target_by_hand(case), case.target, case.seen, "ce")
    assert case.scheme.teacher == "average"
    assert losses.distill.item() == pytest.approx(5 * sum(kl), rel=1e-4)
    assert losses.ensemble.item() == pytest.approx(6 * own, rel=1e-5)
    losses.distill.backward()
    assert all(p.grad is None for p in case.scheme.fau.parameters())


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_a_target_that_misses_the_label_teaches_less_where_asked(make_case, in_loops, term: str):
    """By min(1, e(Z) / e(T)), for every map, person and joint, e above a perfect map's error."""
    case = make_case("okdhp", term, weigh_by_fit=True, kl_mean="joints")

    found = case.losses().distill.item()

    T = target_by_hand(case)
    expected = 0.0
    for z in case.maps.every:

        def share(n: int, k: int, z: Tensor = z) -> float:
            ours, theirs = (in_loops.gap(m[n, k], case.target[n, k], term) for m in (z, T))
            return min(1.0, ours / theirs)

        expected += in_loops.kl(z, T, case.seen, 1.0, share=share)
    assert found == pytest.approx(5 * expected, rel=1e-4)


def test_the_weight_by_fit_is_a_number_and_not_a_way_to_learn(make_case):
    """Without a label's gradient: a branch must not get worse to be taught more."""
    case = make_case("mean", "ce", weigh_by_fit=True, detach=True, lambda_kd=1, kl_mean="joints")
    map_ = case.maps.branches[0]

    case.losses().distill.backward()

    # of w · KL(p ‖ q) by q's logits: w · (q − p), which sums to 0 and lies along q − p
    p = case.scheme.ensemble(case.maps).detach().flatten(-2).softmax(-1)
    q = map_[0].detach().flatten(-2).softmax(-1)
    ours, plain = map_.grad[0].flatten(-2), q - p
    along = (ours * plain).sum(-1, keepdim=True) / plain.square().sum(-1, keepdim=True)
    torch.testing.assert_close(ours, along * plain, atol=1e-6, rtol=1e-4)


def test_a_weight_for_all_joints_is_one_number_a_branch(make_case, in_loops):
    """`fau.weights: shared`: T is then the same mixture of branches at every joint."""
    case = make_case("okdhp", fau={"weights": "shared"})

    weights = case.scheme.fau(case.maps.features)

    assert weights.shape == (2, 3, 3)
    assert torch.equal(weights, weights[..., :1].expand_as(weights))
    torch.testing.assert_close(case.scheme.ensemble(case.maps), target_by_hand(case))

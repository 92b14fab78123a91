"""The loss's terms against values worked by hand and those the paper's form gives."""

import math

import pytest
import torch
from torch import Tensor

from model.heatmaps import Term, render
from model.losses import (
    SoftTargets,
    Whole,
    distillation_loss,
    fit_weights,
    label_gaps,
    label_loss,
)

S, N, K, h, w = 3, 2, 4, 6, 5
SEEN = torch.tensor([[1.0, 1, 0, 1], [1, 0, 1, 1]])


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def targets() -> Tensor:
    return render(noise(N, K, 2).abs() + 1, (h, w), 1.0)


def kl(maps: Tensor, teacher: Tensor, seen: Tensor = SEEN, **how: object) -> Tensor:
    how = {"temperature": 1.0, "mean": "joints"} | how
    targets = SoftTargets.of(teacher[None], how["temperature"])
    return distillation_loss(maps, targets, seen, **how)  # type: ignore[arg-type]


# The label's term


def test_mse_is_half_the_mean_square_of_every_map():
    """Published: ½, mean over people, joints and pixels; the maps of all stacks are added."""
    maps = torch.zeros(S, N, K, h, w)
    maps[1] = 2  # wrong by 1
    target = torch.ones(N, K, h, w)

    loss = label_loss(maps, target, torch.ones(N, K), "mse")

    assert loss.item() == pytest.approx(0.5 * (1 + 1 + 1))


def test_mse_counts_a_joint_without_label_as_right():
    """As published: it is multiplied by 0, the divisor stays N·K·h·w."""
    loss = label_loss(torch.zeros(1, N, K, h, w), torch.ones(N, K, h, w), SEEN, "mse")

    assert loss.item() == pytest.approx(0.5 * 6 / 8)


def test_ce_of_a_flat_map_is_the_logarithm_of_its_cells():
    """Mean over labelled joints, the maps of all stacks added."""
    loss = label_loss(torch.zeros(S, N, K, h, w), targets(), SEEN, "ce")

    assert loss.item() == pytest.approx(S * math.log(h * w), rel=1e-5)


def test_ce_is_least_where_the_map_is_the_target():
    """The logits of the Gaussian itself give its entropy, and no gradient."""
    target = targets()
    maps = target.log()[None].clone().requires_grad_()

    loss = label_loss(maps, target, SEEN, "ce")
    loss.backward()

    shares = target.flatten(2) / target.flatten(2).sum(-1, keepdim=True)
    entropy = -(shares * shares.log()).sum(-1)
    assert loss.item() == pytest.approx(((entropy * SEEN).sum() / SEEN.sum()).item(), rel=1e-5)
    torch.testing.assert_close(maps.grad, torch.zeros_like(maps), atol=1e-6, rtol=0)


def test_ce_of_two_cells_by_hand():
    """Target ¾ : ¼, map 1 : 1 → ln 2; map 3 : 1 → ¾ ln 4/3 + ¼ ln 4."""
    target = torch.tensor([[[[0.75, 0.25]]]])
    maps = torch.tensor([[1.0, 1.0], [3.0, 1.0]]).log().view(2, 1, 1, 1, 2)

    loss = label_loss(maps, target, torch.ones(1, 1), "ce")

    expected = math.log(2) + 0.75 * math.log(4 / 3) + 0.25 * math.log(4)
    assert loss.item() == pytest.approx(expected)


# The KL


@pytest.mark.parametrize("temperature", [0.1, 1.0, 4.0])
def test_kl_of_equal_maps_is_zero(temperature: float):
    """Up to rounding, and without a gradient for the student."""
    teacher = 10 * noise(N, K, h, w)
    maps = teacher.expand(S, N, K, h, w).clone().requires_grad_()

    loss = kl(maps, teacher, temperature=temperature)
    loss.backward()

    assert abs(loss.item()) < 1e-6
    torch.testing.assert_close(maps.grad, torch.zeros_like(maps), atol=1e-6, rtol=0)


@pytest.mark.parametrize("mean", ["pixels", "joints"])
def test_kl_is_finite_at_extreme_logits(mean: str):
    """Maps of ±10⁴ against each other: log-softmax, never a logarithm of an underflown zero."""
    teacher = (1e4 * noise(N, K, h, w).sign()).requires_grad_()
    maps = (1e4 * noise(S, N, K, h, w, seed=1).sign()).requires_grad_()

    loss = kl(maps, teacher, temperature=0.1, mean=mean)
    loss.backward()

    assert loss.isfinite()
    assert loss > 0
    assert maps.grad is not None
    assert teacher.grad is not None
    assert maps.grad.isfinite().all()
    assert teacher.grad.isfinite().all()


def test_kl_of_two_cells_by_hand():
    """T 3 : 1, Z 1 : 1 → ¾ ln 1½ + ¼ ln ½ a joint; summed over joints, divided by N·h·w."""
    teacher = torch.tensor([3.0, 1.0]).log().expand(2, 3, 1, 2)
    maps = torch.zeros(1, 2, 3, 1, 2)
    each = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)

    published = kl(maps, teacher, torch.ones(2, 3), mean="pixels")
    a_joint = kl(maps, teacher, torch.ones(2, 3), mean="joints")

    assert published.item() == pytest.approx(2 * 3 * each / (2 * 1 * 2))
    assert a_joint.item() == pytest.approx(each)


def test_kl_takes_the_teacher_as_the_truth():
    """KL(T ‖ Z), not KL(Z ‖ T): 3 : 1 seen from 1 : 1 is another number."""
    flat, steep = torch.zeros(1, 1, 1, 2), torch.tensor([3.0, 1.0]).log().view(1, 1, 1, 2)
    one = torch.ones(1, 1)

    assert kl(flat[None], steep, one).item() == pytest.approx(0.1308, abs=1e-4)
    assert kl(steep[None], flat, one).item() == pytest.approx(0.1438, abs=1e-4)


def test_a_temperature_divides_both_maps():
    """σ_τ is the softmax of Z/τ."""
    maps, teacher = noise(S, N, K, h, w), noise(N, K, h, w, seed=1)

    torch.testing.assert_close(
        kl(maps, teacher, temperature=0.25), kl(4 * maps, 4 * teacher, temperature=1.0)
    )


def test_the_published_kl_hardly_teaches():
    """Of 64×64 raw Gaussians at τ = 1 a blank map costs 0.0024; at τ = 0.1 four cells cost 6.9."""
    centre = torch.tensor([[[32.0, 32.0]]])
    target = render(centre, (64, 64), 2.0)
    shifted = render(centre + torch.tensor([4.0, 0.0]), (64, 64), 2.0)
    one = torch.ones(1, 1)

    blank = kl(torch.zeros_like(target)[None], target, one)
    published = kl(torch.zeros_like(target)[None], target, one, mean="pixels")
    cold = kl(shifted[None], target, one, temperature=0.1)

    assert blank.item() == pytest.approx(0.0024, abs=5e-5)
    assert published.item() == pytest.approx(blank.item() / 4096, rel=1e-4)
    assert cold.item() == pytest.approx(6.9, abs=0.05)


# Joints without label


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_a_joint_without_label_changes_no_gradient_of_the_label(term: Term):
    """To the bit, whatever its target and its own map hold."""
    maps = noise(S, N, K, h, w, seed=3)
    target = targets()
    hidden = (SEEN == 0)[..., None, None]

    def gradient(maps: Tensor, target: Tensor) -> Tensor:
        leaf = maps.clone().requires_grad_()
        label_loss(leaf, target, SEEN, term).backward()
        assert leaf.grad is not None
        return leaf.grad

    plain = gradient(maps, target)
    other_target = gradient(maps, torch.where(hidden, target.flip(-1), target))
    other_map = gradient(torch.where(hidden, 5 * maps - 1, maps), target)

    assert torch.equal(plain, other_target)
    assert torch.equal(plain, other_map)
    assert not plain[:, SEEN == 0].any()
    assert plain[:, SEEN == 1].any()


@pytest.mark.parametrize("mean", ["pixels", "joints"])
def test_a_joint_without_label_changes_no_gradient_of_the_kl(mean: str):
    """For the student and, where it is not detached, for the teacher."""
    maps, teacher = noise(S, N, K, h, w, seed=3), noise(N, K, h, w, seed=4)
    hidden = (SEEN == 0)[..., None, None]

    def gradients(maps: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
        ours, theirs = maps.clone().requires_grad_(), teacher.clone().requires_grad_()
        kl(ours, theirs, mean=mean).backward()
        assert ours.grad is not None
        assert theirs.grad is not None
        return ours.grad, theirs.grad

    plain = gradients(maps, teacher)
    other_teacher = gradients(maps, torch.where(hidden, 7 * teacher, teacher))
    other_map = gradients(torch.where(hidden, 5 * maps - 1, maps), teacher)

    for a, b, c in zip(plain, other_teacher, other_map, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
        assert not a[..., SEEN == 0, :, :].any()
        assert a[..., SEEN == 1, :, :].any()


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_a_batch_without_any_label_costs_nothing(term: Term):
    """A batch of a mixture may have none; dividing by its labels must not."""
    maps = noise(S, N, K, h, w).requires_grad_()
    nobody = torch.zeros(N, K)

    loss = label_loss(maps, targets(), nobody, term) + kl(maps, targets(), nobody)
    loss.backward()

    assert loss.item() == 0.0
    assert maps.grad is not None
    assert not maps.grad.any()


# Labels that are believed in part


@pytest.mark.parametrize("form", ["mse", "ce", "pixels", "joints"])
def test_half_a_label_weighs_half(form: str):
    """From none to all of it: linear in between, in every form of the loss."""
    maps, other = noise(S, N, K, h, w), noise(N, K, h, w, seed=1)
    full, half, without = (SEEN.clone() for _ in range(3))
    half[0, 1], without[0, 1] = 0.5, 0.0
    whole = Whole.of(full)

    def loss(seen: Tensor) -> float:
        if form in ("mse", "ce"):
            return label_loss(maps, other.sigmoid(), seen, form, whole).item()  # type: ignore[arg-type]
        return kl(maps, other, seen, mean=form, whole=whole).item()

    assert loss(full) > loss(half) > loss(without)
    assert loss(full) - loss(half) == pytest.approx(loss(half) - loss(without), rel=1e-4)


def test_a_mean_over_labels_is_over_what_is_believed_of_them():
    """Weights that are all alike change nothing."""
    maps, other = noise(S, N, K, h, w), targets()

    assert label_loss(maps, other, 0.25 * SEEN, "ce").item() == pytest.approx(
        label_loss(maps, other, SEEN, "ce").item()
    )
    assert kl(maps, other, 0.25 * SEEN).item() == pytest.approx(kl(maps, other).item())


# Several targets


def test_the_kl_to_the_mean_of_targets_is_the_mean_of_the_kls():
    """Not to the mean's own entropy: what several teachers cost together, in one map's space."""
    maps, teachers = noise(S, N, K, h, w), noise(2, N, K, h, w, seed=1)
    soft = SoftTargets.of(teachers, 1.0)
    mean = SoftTargets(soft.shares.mean(0, keepdim=True), soft.own.mean(0, keepdim=True))

    found = distillation_loss(maps, mean, SEEN, temperature=1.0, mean="joints")

    torch.testing.assert_close(found, (kl(maps, teachers[0]) + kl(maps, teachers[1])) / 2)


def test_every_map_may_have_a_target_of_its_own():
    """Map s learns from target s."""
    maps, teachers = noise(S, N, K, h, w), noise(S, N, K, h, w, seed=1)

    found = distillation_loss(
        maps, SoftTargets.of(teachers, 1.0), SEEN, temperature=1.0, mean="joints"
    )

    each = [kl(maps[s : s + 1], teachers[s]) for s in range(S)]
    torch.testing.assert_close(found, torch.stack(each).sum())


def test_a_maps_weight_scales_its_kl_and_not_the_divisor():
    """Of a joint that teaches badly less is learnt, and of the others not more."""
    maps, teacher = noise(S, N, K, h, w), noise(N, K, h, w, seed=1)
    third = torch.full((S, N, K), 1 / 3)

    torch.testing.assert_close(kl(maps, teacher, weights=third), kl(maps, teacher) / 3)


# How well a target fits


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_a_target_that_is_the_label_teaches_wholly(term: Term):
    """And so does one that is as far from it as the pupil, to the bit."""
    label = targets()
    maps = noise(S, N, K, h, w)
    perfect = label if term == "mse" else label.log()
    pupils = label_gaps(maps, label, term)

    assert torch.equal(
        fit_weights(pupils, label_gaps(perfect[None], label, term)), torch.ones(S, N, K)
    )
    assert torch.equal(fit_weights(pupils, label_gaps(maps, label, term)), torch.ones(S, N, K))


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_a_perfect_map_misses_nothing(term: Term):
    """The cross entropy's own floor, the Gaussian's entropy, is no error of the map."""
    label = targets()
    perfect = label if term == "mse" else label.log()

    gaps = label_gaps(perfect[None], label, term)

    torch.testing.assert_close(gaps, torch.zeros(1, N, K), atol=1e-5, rtol=0)


def test_a_target_twice_as_far_from_the_label_counts_half():
    """A ratio of errors: no scale to choose, and never above 1."""
    pupils = torch.tensor([1.0, 2.0, 4.0, 0.0])

    torch.testing.assert_close(
        fit_weights(pupils, torch.tensor(2.0)),
        torch.tensor([0.5, 1.0, 1.0, 0.0]),
        atol=1e-6,
        rtol=0,
    )


@pytest.mark.parametrize("term", ["mse", "ce"])
def test_weights_of_joints_without_label_are_numbers(term: Term):
    """Times `seen` they are 0; a NaN would not be."""
    nothing = torch.zeros(N, K, h, w)

    gaps = label_gaps(noise(S, N, K, h, w), nothing, term)

    weights = fit_weights(gaps, gaps.flip(0))
    assert ((weights >= 0) & (weights <= 1)).all()


# Parts of a batch


@pytest.mark.parametrize("cuts", [[1, 4], [2, 3], [1, 1, 2, 1]])
@pytest.mark.parametrize("form", ["mse", "ce", "pixels", "joints"])
def test_the_losses_of_parts_add_up_to_the_wholes(form: str, cuts: list[int]):
    """On several devices, and one part after another: labels are spread unevenly, people too."""
    people = sum(cuts)
    maps, other = noise(S, people, K, h, w), noise(people, K, h, w, seed=1)
    seen = torch.linspace(-1, 1, people * K).clamp(min=0).view(people, K)

    def loss(rows: slice, whole: Whole | None) -> Tensor:
        ours, theirs, believed = maps[:, rows], other[rows], seen[rows]
        if form in ("mse", "ce"):
            return label_loss(ours, theirs.sigmoid(), believed, form, whole)  # type: ignore[arg-type]
        return kl(ours, theirs, believed, mean=form, whole=whole)

    ends = [sum(cuts[: i + 1]) for i in range(len(cuts))]
    parts = [slice(end - cut, end) for end, cut in zip(ends, cuts, strict=True)]
    total = sum(loss(part, Whole.of(seen)) for part in parts)

    torch.testing.assert_close(total, loss(slice(None), None))

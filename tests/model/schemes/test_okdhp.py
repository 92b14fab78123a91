"""OKDHP's own loss: its weights, its ramp, and whom its target teaches."""

import pytest
import torch
from torch import Tensor

from model.config import Config, load_config
from model.heatmaps import render
from model.losses import SoftTargets, distillation_loss, label_loss
from model.network import BranchMaps
from model.schemes.none import Alone
from model.schemes.okdhp import Okdhp

N, K, SIZE = 2, 3, (8, 8)


PUBLISHED = {"lambda_ens": 6, "lambda_kd": 5, "kl_mean": "pixels"}


def make(**scheme: object) -> Config:
    return load_config(
        {
            "preset": "tiny",
            "network": {"width": 8, "branches": [{"stacks": 2}, {"stacks": 1}]},
            "target": {"term": "mse"},
            "scheme": PUBLISHED | scheme if scheme.get("name") != "none" else scheme,
        }
    )


def draw() -> BranchMaps:
    generator = torch.Generator().manual_seed(0)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    maps = tuple(leaf(stacks, N, K, *SIZE) for stacks in (2, 1))
    return BranchMaps(maps, maps[0][:0], leaf(N, 8, *SIZE), ())


TARGET = render(torch.full((N, K, 2), 3.5), SIZE, 1.0)
SEEN = torch.ones(N, K)


def test_the_loss_is_the_papers():
    """Σ gt(Z, G) + 6 · gt(T, G) + 5 · r · Σ KL(σ(T) ‖ σ(Z)), T = Σ_b a_b · (last of b)."""
    scheme, maps = Okdhp(make(), K).eval(), draw()

    losses = scheme(maps, TARGET, SEEN, 0.25)

    weights = scheme.fau(maps.features)  # N B K
    T = sum(weights[:, b, :, None, None] * maps.branches[b][-1] for b in (0, 1))
    every = torch.cat(maps.branches)
    kl = distillation_loss(
        every, SoftTargets.of(T[None], 1.0), SEEN, temperature=1.0, mean="pixels"
    )
    torch.testing.assert_close(scheme.ensemble(maps), T)
    torch.testing.assert_close(losses.label, label_loss(every, TARGET, SEEN, "mse"))
    torch.testing.assert_close(losses.ensemble, 6 * 0.5 * (T - TARGET).square().mean())
    torch.testing.assert_close(losses.distill, 5 * 0.25 * kl)


def test_a_detached_target_does_not_move_towards_its_students():
    """The KL then teaches the branches alone; the FAU learns from the label."""
    maps = draw()
    attached, detached = Okdhp(make(detach=False), K), Okdhp(make(detach=True), K)

    attached(maps, TARGET, SEEN, 1.0).distill.backward()
    detached(draw(), TARGET, SEEN, 1.0).distill.backward()

    assert all(p.grad is not None for p in attached.fau.heads.parameters())
    assert all(p.grad is None for p in detached.fau.parameters())


def test_a_detached_target_still_learns_from_the_label():
    """gt(T, G) trains the FAU and every branch's last map."""
    scheme, maps = Okdhp(make(detach=True), K), draw()

    scheme(maps, TARGET, SEEN, 1.0).ensemble.backward()

    assert all(p.grad is not None for p in scheme.fau.parameters())
    assert all(m.grad is not None and m.grad[-1].any() for m in maps.branches)


@pytest.mark.parametrize("part", ["ensemble", "distill"])
def test_a_weight_of_zero_leaves_its_part_out(part: str):
    """For an ablation."""
    key = {"ensemble": "lambda_ens", "distill": "lambda_kd"}[part]

    losses = Okdhp(make(**{key: 0}), K)(draw(), TARGET, SEEN, 1.0)

    assert losses.parts()[part].item() == 0.0


def test_alone_is_the_label_term_and_no_more():
    """The ground that every gain is measured from."""
    maps = draw()

    losses = Alone(make(name="none"), K)(maps, TARGET, SEEN, 1.0)

    torch.testing.assert_close(
        losses.total, label_loss(torch.cat(maps.branches), TARGET, SEEN, "mse")
    )
    assert (losses.ensemble.item(), losses.distill.item()) == (0.0, 0.0)


def test_alone_no_branch_moves_another():
    """Each branch's gradient is what it would be without the other."""
    maps = draw()
    Alone(make(name="none"), K)(maps, TARGET, SEEN, 1.0).total.backward()

    alone = draw().branches[0]
    label_loss(alone, TARGET, SEEN, "mse").backward()

    assert maps.branches[0].grad is not None
    torch.testing.assert_close(maps.branches[0].grad, alone.grad)

"""What holds for every scheme of the table, at any number of branches, stacks and widths.

A new scheme is one line in `SCHEMES`, and these run on it unasked.
"""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from model.config import Config, load_config
from model.heatmaps import render
from model.network import BranchMaps, MultiBranch
from model.schemes import SCHEMES, Losses, Scheme, build_scheme

K, N = 5, 3
SIZE = (8, 12)  # (h, w)
SHARED = 2

# stacks and width of each branch, and how many stacks all share
NETWORKS: dict[str, tuple[list[dict[str, int]], int]] = {
    **{f"{b}×{s}": ([{"stacks": s}] * b, 0) for b in (1, 2, 3, 4) for s in (1, 2, 4)},
    "unbalanced": ([{"stacks": 1}, {"stacks": 4}, {"stacks": 2}], 0),
    "unbalanced, of other widths": ([{"stacks": 2, "width": 12}, {"stacks": 1}], 0),
    "shared": ([{"stacks": 2}] * 3, SHARED),
    "shared, unbalanced": ([{"stacks": 1}, {"stacks": 3}], SHARED),
}
OPTIONS = {"okdhp": {"detach": False, "fau": {"hidden": 6}}}
TERMS = ("mse", "ce")
every_network = pytest.mark.parametrize("network", NETWORKS)
every_scheme = pytest.mark.parametrize("scheme", SCHEMES)
every_term = pytest.mark.parametrize("term", TERMS)


def make(scheme: str, network: str, term: str = "mse", **changes: object) -> Config:
    branches, shared = NETWORKS[network]
    return load_config(
        {
            "preset": "tiny",
            "network": {
                "width": 8, "depth": 1, "branches": branches, "shared_stacks": shared,
            },
            "target": {"term": term},
            "scheme": {"name": scheme} | OPTIONS.get(scheme, {}) | changes,
        }
    )  # fmt: skip


def draw(config: Config, people: int = N, *, seed: int = 0) -> BranchMaps:
    """Maps as a network would give them, each a leaf of its own."""
    generator = torch.Generator().manual_seed(seed)

    def leaf(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    return BranchMaps(
        branches=tuple(leaf(b.stacks, people, K, *SIZE) for b in config.network.branches),
        shared=leaf(config.network.shared_stacks, people, K, *SIZE),
        features=leaf(people, config.network.width, *SIZE),
        branch_features=tuple(
            leaf(people, b.width or config.network.width, *SIZE) for b in config.network.branches
        ),
    )


def build(config: Config) -> Scheme:
    torch.manual_seed(0)
    return build_scheme(config, K).train()


def labels(people: int = N) -> tuple[Tensor, Tensor]:
    """Targets `[N, K, h, w]` and who is labelled `[N, K]`: each person lacks one joint."""
    points = torch.rand(people, K, 2, generator=torch.Generator().manual_seed(9)) * 7
    seen = torch.ones(people, K)
    seen[torch.arange(people), torch.arange(people) % K] = 0
    return render(points, SIZE, 1.0), seen


def gradients(maps: BranchMaps) -> list[Tensor]:
    """Of every map that a loss may reach; shared stacks first."""
    grads = [m.grad for m in (maps.shared, *maps.branches)]
    assert all(g is not None for g in grads)
    return [g for g in grads if g is not None]


@every_scheme
@every_network
@every_term
def test_every_branch_and_stack_reaches_the_loss(scheme: str, network: str, term: str):
    """Each map of each stack, shared ones too, learns about each labelled joint of each person."""
    config = make(scheme, network, term)
    maps, (target, seen) = draw(config), labels()

    build(config)(maps, target, seen, 1.0).total.backward()

    for gradient in gradients(maps):
        touched = gradient.abs().sum((-2, -1)) > 0  # S N K
        assert torch.equal(touched, seen.bool().expand_as(touched))


@every_scheme
@every_network
def test_the_label_term_alone_reaches_every_stack(scheme: str, network: str):
    """Before the ramp has begun each branch learns from the label."""
    config = make(scheme, network)
    maps, (target, seen) = draw(config), labels()

    build(config)(maps, target, seen, 0.0).label.backward()

    assert all((g.abs().sum((1, 2, 3, 4)) > 0).all() for g in gradients(maps))


@every_scheme
@every_network
def test_the_ensemble_takes_the_last_map_of_every_branch_and_no_other(scheme: str, network: str):
    """The published index takes others at four stacks, and of its shared variant."""
    config = make(scheme, network)
    maps = draw(config)

    ensemble = build(config).ensemble(maps)
    ensemble.square().sum().backward()

    assert ensemble.shape == (N, K, *SIZE)
    for branch in maps.branches:
        assert branch.grad is not None
        assert (branch.grad[-1].abs().sum((-2, -1)) > 0).all()
        assert not branch.grad[:-1].any()
    assert maps.shared.grad is None or not maps.shared.grad.any()


@every_scheme
@every_term
def test_equal_branches_make_an_ensemble_that_is_each_of_them(scheme: str, term: str):
    """Whatever the weights, they sum to 1."""
    config = make(scheme, "3×2", term)
    maps = draw(config)
    maps = replace(maps, branches=(maps.branches[0],) * 3)

    torch.testing.assert_close(build(config).ensemble(maps), maps.branches[0][-1])


@every_scheme
@every_network
@every_term
def test_a_joint_without_label_changes_no_gradient(scheme: str, network: str, term: str):
    """To the bit: neither what its target holds nor what the branches say of it."""
    config = make(scheme, network, term)
    target, seen = labels()
    hidden = (seen == 0)[..., None, None]
    ours = build(config)

    def learn(target: Tensor, change: float) -> list[Tensor]:
        maps = draw(config)
        with torch.no_grad():
            for m in (maps.shared, *maps.branches):
                m.add_(change * hidden)
        ours.zero_grad()
        ours(maps, target, seen, 1.0).total.backward()
        fau = [p.grad.clone() for p in ours.parameters() if p.grad is not None]
        return [*gradients(maps), *fau]

    plain = learn(target, 0.0)
    relabelled = learn(torch.where(hidden, 1 - target, target), 0.0)
    redrawn = learn(target, 3.0)

    for a, b, c in zip(plain, relabelled, redrawn, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@every_scheme
@every_network
def test_a_batch_of_one_is_a_batch(scheme: str, network: str):
    """No axis is lost, and the loss is one number."""
    config = make(scheme, network)
    maps, (target, seen) = draw(config, people=1), labels(1)

    losses = build(config)(maps, target, seen, 1.0)

    assert losses.total.shape == ()
    assert losses.total.isfinite()
    assert build(config).ensemble(maps).shape == (1, K, *SIZE)


@every_scheme
@every_term
def test_the_parts_are_told_and_their_sum_is_minimised(scheme: str, term: str):
    """Events and curves show them by these names."""
    config = make(scheme, "2×1", term)

    losses = build(config)(draw(config), *labels(), 0.5)

    parts = losses.parts()
    assert list(parts) == ["total", "label", "ensemble", "distill"]
    assert all(part.shape == () for part in parts.values())
    torch.testing.assert_close(
        parts["total"], parts["label"] + parts["ensemble"] + parts["distill"]
    )


@every_scheme
@every_term
def test_losses_are_exact_under_mixed_precision(scheme: str, term: str):
    """Maps come in bfloat16; sums over thousands of cells, and the target, must not be."""
    config = make(scheme, "2×2", term)
    ours, maps, (target, seen) = build(config).eval(), draw(config), labels()
    halves = replace(
        maps, branches=tuple(m.bfloat16() for m in maps.branches), shared=maps.shared.bfloat16()
    )
    rounded = replace(
        halves, branches=tuple(m.float() for m in halves.branches), shared=halves.shared.float()
    )

    with torch.autocast("cpu", torch.bfloat16):
        ensemble = ours.ensemble(halves)
        mixed: Losses = ours(halves, target, seen, 1.0)
        # the weights themselves come through bfloat16 convolutions
        full = ours(rounded, target, seen, 1.0)

    assert ensemble.dtype == torch.float32
    for name, part in mixed.parts().items():
        assert part.dtype == torch.float32
        torch.testing.assert_close(part, full.parts()[name], rtol=1e-4, atol=1e-6)


@every_scheme
@every_network
def test_a_whole_network_learns_under_it(scheme: str, network: str):
    """Every weight of every branch and of the scheme itself gets a gradient."""
    config = make(scheme, network)
    net = MultiBranch.build(config.network, K, seed=0).train()
    ours, (target, seen) = build(config), labels()
    image = torch.rand(N, 3, 4 * SIZE[0], 4 * SIZE[1], generator=torch.Generator().manual_seed(3))

    ours(net(255 * image), target, seen, 1.0).total.backward()

    # Of one branch the weight is 1 whatever the scheme's own weights say.
    teacher = list(ours.named_parameters()) if len(net.branches) > 1 else []
    named = [*net.named_parameters(), *teacher]
    assert [name for name, p in named if p.grad is None] == []
    # A bias before a normalisation cannot matter, so kernels alone are looked at.
    kernels = [(name, p.grad) for name, p in named if p.dim() == 4]
    assert [name for name, grad in kernels if grad is None or not grad.any()] == []

"""What holds for every scheme of the table, at any number of branches, stacks and widths.

A new scheme is one line in `SCHEMES`, and these run on it unasked.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from model.config import Config, load_config
from model.heatmaps import render
from model.losses import Whole
from model.network import BranchMaps, MultiBranch
from model.schemes import SCHEMES, Losses, Scheme, build_scheme

K, N = 5, 3
SIZE = (8, 12)  # (h, w)
SHARED = 2

# stacks and width of each branch, and how many stacks all share
NETWORKS: dict[str, tuple[list[dict[str, int]], int]] = {
    **{f"1×{s}": ([{"stacks": s}], 0) for s in (1, 4)},
    **{f"{b}×{s}": ([{"stacks": s}] * b, 0) for b in (2, 3, 4) for s in (1, 2, 8)},
    "unbalanced": ([{"stacks": 1}, {"stacks": 4}, {"stacks": 2}], 0),
    "unbalanced, of other widths": ([{"stacks": 2, "width": 12}, {"stacks": 1}, {"stacks": 1}], 0),
    "shared": ([{"stacks": 2}] * 3, SHARED),
    "shared, unbalanced": ([{"stacks": 1}, {"stacks": 3}], SHARED),
}
OPTIONS: dict[str, dict[str, Any]] = {
    "okdhp": {"detach": False, "fau": {"hidden": 6}},
    "fpd": {"teacher": "a-run"},
}
# Every scheme, and what its options may change of it.
LEARNERS: dict[str, dict[str, Any]] = {
    **{name: {"name": name} | OPTIONS.get(name, {}) for name in SCHEMES},
    "okdhp, otherwise": {
        "name": "okdhp",
        "detach": True,
        "temperature": 0.5,
        "weigh_by_fit": True,
        "average_teacher": True,
        "fau": {"fields": "dilation", "weights": "shared", "hidden": 6},
    },
    "dml, by fit": {"name": "dml", "weigh_by_fit": True},
    "okddip, by fit": {"name": "okddip", "weigh_by_fit": True},
}
TERMS = ("mse", "ce")

# The exceptions, each by its paper.
NOBODY_TEACHES = ("none",)
NEEDS_PEERS = ("dml", "okddip")  # one branch has nobody to learn from: the configuration refuses it
LEADER_IS_NO_PEER = ("okddip", "okddip, by fit")  # the ensemble is the auxiliary peers'


def pairs(learners: Iterable[str], networks: Iterable[str]) -> list[Any]:
    return [
        pytest.param(learner, network, id=f"{learner}-{network}")
        for learner in learners
        for network in networks
        if len(NETWORKS[network][0]) > 1 or LEARNERS[learner]["name"] not in NEEDS_PEERS
    ]


VARIANTS = [name for name in LEARNERS if name not in SCHEMES]
BOTH = pairs(SCHEMES, NETWORKS) + pairs(VARIANTS, ["2×1", "4×2", "shared, unbalanced"])
# Whole networks take their time: one branch, unbalanced in all that may be, and the largest.
WHOLE = pairs(LEARNERS, ["1×4", "2×1", "unbalanced, of other widths", "shared, unbalanced", "4×8"])
every_pair = pytest.mark.parametrize(("learner", "network"), BOTH)
every_learner = pytest.mark.parametrize("learner", LEARNERS)
every_term = pytest.mark.parametrize("term", TERMS)


@cache
def make(learner: str, network: str, term: str = "mse") -> Config:
    branches, shared = NETWORKS[network]
    return load_config(
        {
            "preset": "tiny",
            "network": {
                "width": 8, "depth": 1, "branches": branches, "shared_stacks": shared,
            },
            "target": {"term": term},
            "scheme": LEARNERS[learner],
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


def build(config: Config) -> Scheme[Any]:
    torch.manual_seed(0)
    return build_scheme(config, K).train()


def labels(people: int = N) -> tuple[Tensor, Tensor]:
    """Targets `[N, K, h, w]` and who is labelled `[N, K]`: each person lacks one joint."""
    points = torch.rand(people, K, 2, generator=torch.Generator().manual_seed(9)) * 7
    seen = torch.ones(people, K)
    seen[torch.arange(people), torch.arange(people) % K] = 0
    return render(points, SIZE, 1.0), seen


def maps_of_a_teacher(people: int = N) -> Tensor:
    return torch.randn(people, K, *SIZE, generator=torch.Generator().manual_seed(4))


def learn(
    scheme: Scheme[Any],
    maps: BranchMaps,
    target: Tensor,
    seen: Tensor,
    ramp: float = 1.0,
    teacher: Tensor | None = None,
    whole: Whole | None = None,
) -> Losses:
    """Where a scheme asks for a teacher it is given one, as the training step does."""
    if scheme.teacher != "none" and teacher is None:
        teacher = maps_of_a_teacher(len(target))
    losses: Losses = scheme(maps, target, seen, ramp, teacher, whole)
    return losses


def gradients(maps: BranchMaps) -> list[Tensor]:
    """Of every map that a loss may reach; shared stacks first."""
    grads = [m.grad for m in (maps.shared, *maps.branches)]
    assert all(g is not None for g in grads)
    return [g for g in grads if g is not None]


@every_pair
@every_term
def test_every_branch_and_stack_reaches_the_loss(learner: str, network: str, term: str):
    """Each map of each stack, shared ones too, learns about each labelled joint of each person."""
    config = make(learner, network, term)
    maps, (target, seen) = draw(config), labels()

    learn(build(config), maps, target, seen).total.backward()

    for gradient in gradients(maps):
        touched = gradient.abs().sum((-2, -1)) > 0  # S N K
        assert torch.equal(touched, seen.bool().expand_as(touched))


@every_pair
def test_the_label_term_alone_reaches_every_stack(learner: str, network: str):
    """Before the ramp has begun each branch learns from the label."""
    config = make(learner, network)
    maps, (target, seen) = draw(config), labels()

    learn(build(config), maps, target, seen, ramp=0.0).label.backward()

    assert all((g.abs().sum((1, 2, 3, 4)) > 0).all() for g in gradients(maps))


@every_pair
@every_term
def test_the_target_alone_reaches_every_stack(learner: str, network: str, term: str):
    """What teaches teaches every map about each labelled joint, or there is nothing to teach."""
    config = make(learner, network, term)
    maps, (target, seen) = draw(config), labels()
    single = len(config.network.branches) == 1

    distill = learn(build(config), maps, target, seen).distill

    if learner in NOBODY_TEACHES:
        assert distill.item() == 0
        assert not distill.requires_grad
        return
    distill.backward()
    for gradient in gradients(maps):
        touched = gradient.abs().sum((-2, -1)) > 1e-9
        if single:
            touched = touched[:-1]  # the last map is its own ensemble
        assert torch.equal(touched, seen.bool().expand_as(touched))


@every_pair
def test_the_ensemble_takes_the_last_map_of_every_branch_and_no_other(learner: str, network: str):
    """The published index takes others at four stacks, and of its shared variant."""
    config = make(learner, network)
    maps = draw(config)

    ensemble = build(config).ensemble(maps)
    ensemble.square().sum().backward()

    assert ensemble.shape == (N, K, *SIZE)
    members = maps.branches
    if learner in LEADER_IS_NO_PEER:
        *members, leader = members
        assert leader.grad is None or not leader.grad.any()
    for branch in members:
        assert branch.grad is not None
        assert (branch.grad[-1].abs().sum((-2, -1)) > 0).all()
        assert not branch.grad[:-1].any()
    assert maps.shared.grad is None or not maps.shared.grad.any()


@every_learner
@every_term
def test_equal_branches_make_an_ensemble_that_is_each_of_them(learner: str, term: str):
    """Whatever the weights, they sum to 1."""
    config = make(learner, "3×2", term)
    maps = draw(config)
    maps = replace(maps, branches=(maps.branches[0],) * 3)

    torch.testing.assert_close(build(config).ensemble(maps), maps.branches[0][-1])


@every_pair
@every_term
def test_a_joint_without_label_changes_no_gradient(learner: str, network: str, term: str):
    """To the bit: neither what its target holds nor what the branches say of it."""
    config = make(learner, network, term)
    target, seen = labels()
    hidden = (seen == 0)[..., None, None]
    ours = build(config)

    def learnt(target: Tensor, change: float) -> list[Tensor]:
        maps = draw(config)
        with torch.no_grad():
            for m in (maps.shared, *maps.branches):
                m.add_(change * hidden)
        ours.zero_grad()
        learn(ours, maps, target, seen).total.backward()
        own = [p.grad.clone() for p in ours.parameters() if p.grad is not None]
        return [*gradients(maps), *own]

    plain = learnt(target, 0.0)
    relabelled = learnt(torch.where(hidden, 1 - target, target), 0.0)
    redrawn = learnt(target, 3.0)

    for a, b, c in zip(plain, relabelled, redrawn, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)


@every_learner
@every_term
def test_a_label_that_is_half_believed_weighs_half(learner: str, term: str):
    """What an audit leaves of a label's weight holds in every part of the loss."""
    config = make(learner, "shared, unbalanced", term)
    ours, maps, (target, seen) = build(config).eval(), draw(config), labels()
    whole = Whole.of(seen)  # what is divided by stays
    other = torch.rand(N, K, generator=torch.Generator().manual_seed(2))

    def parts(seen: Tensor) -> Tensor:
        return torch.stack([*learn(ours, maps, target, seen, 0.7, whole=whole).parts().values()])

    torch.testing.assert_close(
        parts(0.75 * seen + 0.25 * other), 0.75 * parts(seen) + 0.25 * parts(other)
    )


@every_learner
@every_term
def test_the_losses_of_parts_of_a_batch_add_up(learner: str, term: str):
    """On several devices and one part after another, with labels spread unevenly."""
    config = make(learner, "3×2", term)
    ours, maps, (target, seen) = build(config).eval(), draw(config), labels()
    whole = Whole.of(seen)

    def of(rows: slice) -> Tensor:
        part = BranchMaps(
            branches=tuple(m[:, rows] for m in maps.branches),
            shared=maps.shared[:, rows],
            features=maps.features[rows],
            branch_features=tuple(f[rows] for f in maps.branch_features),
        )
        teacher = maps_of_a_teacher()[rows]
        return learn(ours, part, target[rows], seen[rows], teacher=teacher, whole=whole).total

    torch.testing.assert_close(
        of(slice(0, 1)) + of(slice(1, N)), learn(ours, maps, target, seen).total
    )


@every_pair
def test_a_batch_of_one_is_a_batch(learner: str, network: str):
    """No axis is lost, and the loss is one number."""
    config = make(learner, network)
    maps, (target, seen) = draw(config, people=1), labels(1)

    losses = learn(build(config), maps, target, seen)

    assert losses.total.shape == ()
    assert losses.total.isfinite()
    assert build(config).ensemble(maps).shape == (1, K, *SIZE)


@every_learner
@every_term
def test_a_batch_without_any_label_teaches_nothing(learner: str, term: str):
    """A batch of a mixture may have none; dividing by its labels must not."""
    config = make(learner, "2×2", term)
    maps, (target, _) = draw(config), labels()

    losses = learn(build(config), maps, target, torch.zeros(N, K))
    losses.total.backward()

    assert losses.total.item() == 0.0
    assert not any(g.any() for g in gradients(maps))


@every_learner
@every_term
def test_the_parts_are_told_and_their_sum_is_minimised(learner: str, term: str):
    """Events and curves show them by these names."""
    config = make(learner, "2×1", term)

    losses = learn(build(config), draw(config), *labels(), ramp=0.5)

    parts = losses.parts()
    assert list(parts) == ["total", "label", "ensemble", "distill"]
    torch.testing.assert_close(
        parts["total"], parts["label"] + parts["ensemble"] + parts["distill"]
    )


@every_learner
@every_term
def test_losses_are_exact_under_mixed_precision(learner: str, term: str):
    """Maps come in bfloat16; sums over thousands of cells, and the target, must not be."""
    config = make(learner, "3×2", term)
    ours, maps, (target, seen) = build(config).eval(), draw(config), labels()
    halves = replace(
        maps, branches=tuple(m.bfloat16() for m in maps.branches), shared=maps.shared.bfloat16()
    )
    rounded = replace(
        halves, branches=tuple(m.float() for m in halves.branches), shared=halves.shared.float()
    )

    with torch.autocast("cpu", torch.bfloat16):
        ensemble = ours.ensemble(halves)
        mixed = learn(ours, halves, target, seen)
        # the weights themselves come through bfloat16 convolutions
        full = learn(ours, rounded, target, seen)

    assert ensemble.dtype == torch.float32
    for name, part in mixed.parts().items():
        assert part.dtype == torch.float32
        torch.testing.assert_close(part, full.parts()[name], rtol=1e-4, atol=1e-6)


@every_learner
def test_maps_that_were_forgotten_are_a_programming_error(learner: str):
    """A scheme that asks for a teacher and is given none must not learn from the label alone."""
    config = make(learner, "2×1")
    ours = build(config)
    if ours.teacher == "none":
        ours(draw(config), *labels(), 1.0)
        return

    with pytest.raises(TypeError, match=rf"teacher is '{ours.teacher}': no maps were given"):
        ours(draw(config), *labels(), 1.0)


@pytest.mark.parametrize(("learner", "network"), WHOLE)
def test_a_whole_network_learns_under_it(learner: str, network: str):
    """Every weight of every branch and of the scheme itself gets a gradient."""
    config = make(learner, network)
    net = MultiBranch.build(config.network, K, seed=0).train()
    ours, (target, seen) = build(config), labels()
    image = torch.rand(N, 3, 4 * SIZE[0], 4 * SIZE[1], generator=torch.Generator().manual_seed(3))

    learn(ours, net(255 * image), target, seen).total.backward()

    # Of one branch the weight is 1 whatever the scheme's own weights say.
    teacher = list(ours.named_parameters()) if len(net.branches) > 1 else []
    named = [*net.named_parameters(), *teacher]
    assert [name for name, p in named if p.grad is None] == []
    # A bias before a normalisation cannot matter, so kernels and matrices alone are looked at.
    weights = [(name, p.grad) for name, p in named if p.dim() > 1]
    assert [name for name, grad in weights if grad is None or not grad.any()] == []

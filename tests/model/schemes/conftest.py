"""One small case for every scheme, and the loss's terms in plain loops to hold its sums against."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.config import load_config
from model.heatmaps import render
from model.network import BranchMaps
from model.schemes import Losses, Scheme, build_scheme

N, K, SIZE = 2, 3, (6, 8)
SHARED = 1
BRANCHES = [{"stacks": 2}, {"stacks": 1, "width": 12}, {"stacks": 1}]

Map = NDArray[np.float64]  # (h, w)
Share = Callable[[int, int], float]  # of a person's joint


@dataclass(frozen=True)
class Case:
    """A scheme with maps, labels and the maps of a teacher."""

    scheme: Scheme[Any]
    maps: BranchMaps
    target: Tensor
    seen: Tensor
    teacher: Tensor

    def losses(self, ramp: float = 1.0) -> Losses:
        losses: Losses = self.scheme(self.maps, self.target, self.seen, ramp, self.teacher)
        return losses

    def last(self, branch: int) -> Tensor:
        return self.maps.branches[branch][-1]


@pytest.fixture
def make_case() -> Callable[..., Case]:
    """`make_case("dml", term="ce", branches=2, temperature=2.0)`: the other words are options."""

    def make(name: str, term: str = "ce", branches: int = 3, **options: object) -> Case:
        chosen = BRANCHES[-branches:]
        config = load_config(
            {
                "data": {"train": [{"format": "synthetic"}], "valid": [{"format": "synthetic"}]},
                "network": {"width": 8, "shared_stacks": SHARED, "branches": chosen},
                "target": {"term": term},
                "scheme": {"name": name, **options},
                "training": {"ema_decay": 0.9},
            }
        )
        generator = torch.Generator().manual_seed(0)

        def leaf(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).requires_grad_()

        def seen_in(width: int) -> Tensor:
            # Each person and channel has a mean of its own: pooled noise alone would be 0.
            means = 3 * torch.randn(N, width, 1, 1, generator=generator)
            noise = torch.randn(N, width, *SIZE, generator=generator)
            return (means + noise).requires_grad_()

        maps = BranchMaps(
            branches=tuple(leaf(b["stacks"], N, K, *SIZE) for b in chosen),
            shared=leaf(SHARED, N, K, *SIZE),
            features=seen_in(8),
            branch_features=tuple(seen_in(b.get("width", 8)) for b in chosen),
        )
        points = torch.rand(N, K, 2, generator=generator) * 5
        torch.manual_seed(0)
        return Case(
            build_scheme(config, K),
            maps,
            render(points, SIZE, 1.0),
            # One joint has no label, two are believed in part.
            torch.tensor([[1.0, 0.4, 0.0], [0.7, 1.0, 1.0]]),
            torch.randn(N, K, *SIZE, generator=generator),
        )

    return make


class InLoops:
    """The terms over one map after another, one person, one joint, one cell, in float64."""

    def gt(self, maps: Tensor, target: Tensor, seen: Tensor, term: str) -> float:
        """gt(Z, G) of one map `[N, K, h, w]`."""
        total = 0.0
        for n in range(N):
            for k in range(K):
                error = self.error(maps[n, k], target[n, k], term)
                total += float(seen[n, k]) * error
        return total / (N * K if term == "mse" else float(seen.sum()))

    def error(self, found: Tensor, wanted: Tensor, term: str) -> float:
        """Of one joint's map `[h, w]`."""
        z, g = _cells(found), _cells(wanted)
        if term == "mse":
            return 0.5 * sum((a - b) ** 2 for a, b in zip(z, g, strict=True)) / len(z)
        q = _softmax(z, 1.0)
        return -sum(b / sum(g) * math.log(a) for a, b in zip(q, g, strict=True))

    def gap(self, found: Tensor, wanted: Tensor, term: str) -> float:
        """How much more than a perfect map it misses."""
        if term == "mse":
            return self.error(found, wanted, term)
        g = _cells(wanted)
        entropy = -sum(b / sum(g) * math.log(b / sum(g)) for b in g)
        return self.error(found, wanted, term) - entropy

    def kl(
        self,
        pupil: Tensor,
        teacher: Tensor,
        seen: Tensor,
        temperature: float,
        mean: str = "joints",
        share: Share = lambda n, k: 1.0,
    ) -> float:
        """KL(σ_τ(teacher) ‖ σ_τ(pupil)) of one map `[N, K, h, w]`."""
        total = 0.0
        for n in range(N):
            for k in range(K):
                p = _softmax(_cells(teacher[n, k]), temperature)
                q = _softmax(_cells(pupil[n, k]), temperature)
                one = sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))
                total += float(seen[n, k]) * share(n, k) * one
        h, w = SIZE
        return total / (N * h * w if mean == "pixels" else float(seen.sum()))


def _cells(found: Tensor) -> list[float]:
    return [float(v) for v in found.detach().double().flatten()]


def _softmax(values: list[float], temperature: float) -> list[float]:
    powers = [math.exp(v / temperature) for v in values]
    return [power / sum(powers) for power in powers]


@pytest.fixture
def in_loops() -> InLoops:
    return InLoops()

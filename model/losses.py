"""The loss's terms. No loop over joints, stacks or branches; a joint without label is in none.

Letters: S maps (of all branches and stacks), T targets, N people, K joints, h w cells.
`seen` is `[N, K]`, 0…1: how far the joint's label within the crop is believed, 0 where it has none.
"""

from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from model.heatmaps import Term


@dataclass(frozen=True)
class Whole:
    """What means are taken over: all people of a step's batch, of which a loss may get a part.

    The parts' losses, each divided by the whole's numbers, add up to the loss of the whole, however
    unevenly labels are spread over the parts.
    """

    people: int
    labelled: Tensor  # scalar: the sum of `seen`

    @classmethod
    def of(cls, seen: Tensor) -> Self:
        return cls(len(seen), seen.sum())

    @property
    def joints(self) -> Tensor:
        """The labelled joints as a divisor: nobody's labels must not divide by zero."""
        return self.labelled.clamp(min=1)


def label_loss(
    maps: Tensor, target: Tensor, seen: Tensor, term: Term, whole: Whole | None = None
) -> Tensor:
    """gt(Z, G) summed over the S maps `[S, N, K, h, w]`; target `[N, K, h, w]`. A scalar.

    `mse`: half the squared error, mean over people, joints and cells (the published form).
    `ce`: cross entropy against the target's Gaussian as a distribution, mean over labelled joints.
    """
    whole = whole or Whole.of(seen)
    total = (label_errors(maps, target, term) * seen).sum()
    if term == "mse":
        return total / (whole.people * seen.shape[1])
    return total / whole.joints


def label_errors(maps: Tensor, target: Tensor, term: Term) -> Tensor:
    """gt(Z, G) of each map, person and joint, `[S, N, K]`; as in `label_loss`."""
    maps = maps.float()
    if term == "mse":
        return 0.5 * F.mse_loss(maps, target.expand_as(maps), reduction="none").mean((-2, -1))
    return -(_shares(target) * F.log_softmax(maps.flatten(-2), -1)).sum(-1)


@dataclass(frozen=True)
class SoftTargets:
    """Distributions over a joint's cells that teach.

    KL(T ‖ Z) = own − Σ shares · log σ(Z) is linear in both: a mean of several targets' is that of
    the means, without a map for every pair of target and pupil.

    shares: p, `[T, N, K, h·w]`. own: Σ p log p, `[T, N, K]`.
    """

    shares: Tensor
    own: Tensor

    @classmethod
    def of(cls, maps: Tensor, temperature: float) -> Self:
        """σ_τ of maps `[T, N, K, h, w]`; their gradient is the caller's choice."""
        logs = _log_shares(maps, temperature)
        shares = logs.exp()
        return cls(shares, (shares * logs).sum(-1))


def distillation_loss(
    maps: Tensor,
    targets: SoftTargets,
    seen: Tensor,
    *,
    temperature: float,
    mean: str,
    weights: Tensor | None = None,
    whole: Whole | None = None,
) -> Tensor:
    """Σ KL(T_s ‖ σ_τ(Z_s)) over the S maps `[S, N, K, h, w]`, σ_τ the softmax over a joint's cells.

    targets: one for every map (T = S), or one for all (T = 1).
    weights: of every map's joint, `[S, N, K]` (`fit_weights`).
    mean `pixels`: summed over joints, divided by N·h·w (as published); `joints`: mean over
    labelled joints. A scalar.
    """
    whole = whole or Whole.of(seen)
    kl = targets.own - (targets.shares * _log_shares(maps, temperature)).sum(-1)  # S N K
    total = (kl * seen if weights is None else kl * weights * seen).sum()
    if mean == "pixels":
        h, w = maps.shape[-2:]
        return total / (whole.people * h * w)
    return total / whole.joints


def fit_weights(pupils: Tensor, targets: Tensor) -> Tensor:
    """How far a target deserves to teach: 0…1, without a gradient.

    min(1, e(Z) / e(T)): a target at least as near to the label as its pupil counts wholly, one
    twice as far by half, and a map that is right learns from none that is not. No scale is chosen.

    pupils, targets: e ≥ 0, how far they miss the label (`label_gaps`), shapes that broadcast.
    """
    # Rounding alone must not make a target better or worse than a map that is its equal.
    least = 1e-6
    return (pupils.clamp(min=least) / targets.clamp(min=least)).clamp(max=1).detach()


@torch.no_grad()
def label_gaps(maps: Tensor, target: Tensor, term: Term) -> Tensor:
    """By how much each map's error exceeds that of a perfect one, `[S, N, K]`."""
    errors = label_errors(maps, target, term)
    if term == "mse":
        return errors
    perfect: Tensor = torch.special.entr(_shares(target)).sum(-1)
    return errors - perfect


def _log_shares(maps: Tensor, temperature: float) -> Tensor:
    """log σ_τ over the cells, `[…, h·w]`."""
    logits = maps.float().flatten(-2)
    return F.log_softmax(logits if temperature == 1 else logits / temperature, -1)


def _shares(target: Tensor) -> Tensor:
    """A Gaussian as a distribution over the cells, `[…, h·w]`; nothing stays nothing."""
    flat = target.flatten(-2)
    return flat / flat.sum(-1, keepdim=True).clamp(min=1e-12)

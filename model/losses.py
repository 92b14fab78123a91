"""The loss's terms. No loop over joints, stacks or branches; a joint without label is in none.

Letters: S maps (of all branches and stacks), N people, K joints, h w cells.
`seen` is `[N, K]`, 0…1: how far the joint's label within the crop is believed, 0 where it has none.
"""

from dataclasses import dataclass
from typing import Self

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
    maps, whole = maps.float(), whole or Whole.of(seen)
    if term == "mse":
        wrong = (maps - target).square().mean((-2, -1))  # S N K
        return 0.5 * (wrong * seen).sum() / (whole.people * seen.shape[1])
    wanted = target.flatten(-2)
    wanted = wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-12)
    surprise = -(wanted * F.log_softmax(maps.flatten(-2), -1)).sum(-1)  # S N K
    return (surprise * seen).sum() / whole.joints


def distillation_loss(
    maps: Tensor,
    teacher: Tensor,
    seen: Tensor,
    *,
    temperature: float,
    mean: str,
    whole: Whole | None = None,
) -> Tensor:
    """Σ KL(σ_τ(T) ‖ σ_τ(Z)) over the S maps, σ_τ the softmax over a joint's cells. A scalar.

    teacher: `[N, K, h, w]`, in the maps' units; its gradient is the caller's choice.
    mean `pixels`: summed over joints, divided by N·h·w (as published); `joints`: mean over
    labelled joints.
    """
    h, w = teacher.shape[-2:]
    whole = whole or Whole.of(seen)
    log_student = F.log_softmax(maps.float().flatten(-2) / temperature, -1)  # S N K hw
    log_teacher = F.log_softmax(teacher.float().flatten(-2) / temperature, -1)  # N K hw
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)  # S N K
    total = (kl * seen).sum()
    if mean == "pixels":
        return total / (whole.people * h * w)
    return total / whole.joints

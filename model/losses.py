"""The loss's terms. No loop over joints, stacks or branches; a joint without label is in none.

Letters: S maps (of all branches and stacks), N people, K joints, h w cells.
`seen` is `[N, K]`, 1 where the joint has a label within the crop, else 0.
"""

import torch.nn.functional as F
from torch import Tensor

from model.heatmaps import Term


def label_loss(maps: Tensor, target: Tensor, seen: Tensor, term: Term) -> Tensor:
    """gt(Z, G) summed over the S maps `[S, N, K, h, w]`; target `[N, K, h, w]`. A scalar.

    `mse`: half the squared error, mean over people, joints and cells (the published form).
    `ce`: cross entropy against the target's Gaussian as a distribution, mean over labelled joints.
    """
    maps = maps.float()
    if term == "mse":
        wrong = (maps - target).square().mean((-2, -1))  # S N K
        return 0.5 * (wrong * seen).mean((-2, -1)).sum()
    wanted = target.flatten(-2)
    wanted = wanted / wanted.sum(-1, keepdim=True).clamp(min=1e-12)
    surprise = -(wanted * F.log_softmax(maps.flatten(-2), -1)).sum(-1)  # S N K
    return (surprise * seen).sum((-2, -1)).sum() / seen.sum().clamp(min=1)


def distillation_loss(
    maps: Tensor, teacher: Tensor, seen: Tensor, *, temperature: float, mean: str
) -> Tensor:
    """Σ KL(σ_τ(T) ‖ σ_τ(Z)) over the S maps, σ_τ the softmax over a joint's cells. A scalar.

    teacher: `[N, K, h, w]`, in the maps' units; its gradient is the caller's choice.
    mean `pixels`: summed over joints, divided by N·h·w (as published); `joints`: mean over
    labelled joints.
    """
    N, _, h, w = teacher.shape
    log_student = F.log_softmax(maps.float().flatten(-2) / temperature, -1)  # S N K hw
    log_teacher = F.log_softmax(teacher.float().flatten(-2) / temperature, -1)  # N K hw
    kl = (log_teacher.exp() * (log_teacher - log_student)).sum(-1)  # S N K
    total = (kl * seen).sum()
    if mean == "pixels":
        return total / (N * h * w)
    return total / seen.sum().clamp(min=1)

"""What schemes with a KL between maps share: its options, and who learns from whom."""

from collections.abc import Sequence
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from model.config import NetworkConfig
from model.config.scheme import TeachingConfig
from model.losses import SoftTargets, Whole, distillation_loss, fit_weights, label_gaps
from model.schemes.base import Scheme

Taught = TypeVar("Taught", bound=TeachingConfig)


class Teaching(Scheme[Taught]):
    """λ_kd · r · Σ_s KL(σ_τ(T_s) ‖ σ_τ(Z_s)) over the S maps, weighed by fit where asked."""

    TAU_SQUARED: ClassVar[bool] = False
    """Whether the KL is multiplied by τ², which keeps its gradient's size as τ grows."""

    def distil(
        self,
        every: Tensor,
        teachers: Tensor,
        label: Tensor,
        seen: Tensor,
        ramp: float,
        whole: Whole | None,
    ) -> Tensor:
        """The scalar above.

        every: the maps that learn, `[S, N, K, h, w]`; teachers: those that teach, `[T, N, K, h,
        w]`; label `[N, K, h, w]`; the rest as in `forward`.
        """
        ours = self.options
        soft = SoftTargets.of(teachers, ours.temperature)
        weights = None
        if ours.weigh_by_fit:
            theirs = self.per_map(label_gaps(teachers, label, self.term))
            weights = fit_weights(label_gaps(every, label, self.term), theirs)
        kl = distillation_loss(
            every,
            SoftTargets(self.per_map(soft.shares), self.per_map(soft.own)),
            seen,
            temperature=ours.temperature,
            mean=ours.kl_mean,
            weights=weights,
            whole=whole,
        )
        strength = ours.lambda_kd * (ours.temperature**2 if self.TAU_SQUARED else 1.0)
        return strength * ramp * kl

    def per_map(self, of_teachers: Tensor) -> Tensor:
        """What stands for a teacher, `[T, …]`, as every map is to learn from it: `[S, …]`.

        By default there is one teacher for all: `[1, …]`.
        """
        return of_teachers


def teacher_of_map(shared: int, branches: Sequence[int], network: NetworkConfig) -> Tensor:
    """The number of the teacher of every map, int64 `[S]`, in the order of `BranchMaps.every`.

    shared: that of the shared stacks; branches: those of the branches, for all stacks of each.
    """
    stacks = [network.shared_stacks, *(branch.stacks for branch in network.branches)]
    return torch.tensor([shared, *branches]).repeat_interleave(torch.tensor(stacks))

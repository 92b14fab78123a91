"""What `okdhp`, `mean` and `one` share: the branches' ensemble teaches each of them."""

from abc import abstractmethod
from typing import TypeVar

from torch import Tensor

from model.config import Config
from model.config.scheme import EnsembleConfig
from model.losses import Whole, label_loss
from model.network import BranchMaps
from model.schemes.base import Losses
from model.schemes.teaching import Teaching

Assembled = TypeVar("Assembled", bound=EnsembleConfig)


class ByEnsemble(Teaching[Assembled]):
    """Σ gt(Z, G) + λ_ens · gt(T, G) + λ_kd · r · Σ KL(σ_τ(T) ‖ σ_τ(Z)), T the ensemble.

    With `average_teacher` the KL's target is the averaged twin's ensemble, a steadier one; the
    branches' own keeps its label term.
    """

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        self.teacher = "average" if self.options.average_teacher else "none"

    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        every, ensemble = maps.every, self.ensemble(maps)
        if self.teacher == "average":
            teaches = self.taught_by(teacher)
        else:
            teaches = ensemble.detach() if self.options.detach else ensemble
        own = label_loss(ensemble[None], target, seen, self.term, whole)
        return Losses(
            label=label_loss(every, target, seen, self.term, whole),
            ensemble=self.options.lambda_ens * own,
            distill=self.distil(every, teaches[None], target, seen, ramp, whole),
        )

    @abstractmethod
    def ensemble(self, maps: BranchMaps) -> Tensor:
        """T, `[N, K, h, w]`, of every branch's last map; its gradient reaches them."""


def weighted(weights: Tensor, last: Tensor) -> Tensor:
    """Σ_b a_b · Z_b. weights `[N, B, K]`, or `[N, B, 1]` for all joints; last `[B, N, K, h, w]`."""
    # Not an einsum: mixed precision would make a product in bfloat16 of it, and of T.
    return (weights.transpose(0, 1)[..., None, None] * last.float()).sum(0)

"""`okdhp`: the FAU assembles a target from all branches and teaches each (ICCV 2021, eq. 4–8).

Unlike the authors' code: the target takes the *last* map of every branch at any number of stacks;
unlabelled joints are in no term; the target may be detached (`scheme.detach`, theirs is not).
"""

from torch import Tensor

from model.config import Config
from model.config.scheme import OkdhpConfig
from model.losses import Whole, distillation_loss, label_loss
from model.network import BranchMaps, FeatureAggregation
from model.schemes.base import Losses, Scheme


class Okdhp(Scheme[OkdhpConfig]):
    """Σ gt(Z, G) + λ_ens · gt(T, G) + λ_kd · r · Σ KL(σ_τ(T) ‖ σ_τ(Z))."""

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        network = config.network
        self.fau = FeatureAggregation(
            self.options.fau, network.width, len(network.branches), joints
        )

    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        ours = self.options
        ensemble = self.ensemble(maps)
        every = maps.every
        distill = distillation_loss(
            every,
            ensemble.detach() if ours.detach else ensemble,
            seen,
            temperature=ours.temperature,
            mean=ours.kl_mean,
            whole=whole,
        )
        return Losses(
            label=label_loss(every, target, seen, self.term, whole),
            ensemble=ours.lambda_ens * label_loss(ensemble[None], target, seen, self.term, whole),
            distill=ours.lambda_kd * ramp * distill,
        )

    def ensemble(self, maps: BranchMaps) -> Tensor:
        """T_k = Σ_b a_{b,k} · Z_{b,S_b,k}."""
        weights: Tensor = self.fau(maps.features)  # N B K
        # Not an einsum: mixed precision would make a product in bfloat16 of it, and of T.
        return (weights.transpose(0, 1)[..., None, None] * maps.last.float()).sum(0)

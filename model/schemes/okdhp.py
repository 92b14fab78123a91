"""`okdhp`: the FAU assembles a target from all branches and teaches each (ICCV 2021, eq. 4–8).

Li et al., *Online Knowledge Distillation for Efficient Pose Estimation*, arXiv:2108.02092;
zhengli97/OKDHP at 452c71e, `lib/models/hourglass_okd.py`, `lib/core/{loss,function_okd}.py`:
λ_ens 6, λ_kd 5, τ 1, ramp over 60 of 140 epochs, KL summed over joints and divided by N·h·w,
target not detached, weights a joint.

Unlike the authors' code: the target takes the *last* map of every branch at any number of stacks;
unlabelled joints are in no term. Ours beyond the paper, each an option: `detach`, `temperature`,
`kl_mean: joints`, `weigh_by_fit`, `average_teacher`, `fau.fields: dilation`, `fau.weights: shared`.
"""

from torch import Tensor

from model.config import Config
from model.config.scheme import OkdhpConfig
from model.network import BranchMaps, FeatureAggregation
from model.schemes.ensemble import ByEnsemble, weighted


class Okdhp(ByEnsemble[OkdhpConfig]):
    """T_k = Σ_b a_{b,k} · Z_{b,S_b,k}, a from the FAU."""

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        network = config.network
        self.fau = FeatureAggregation(
            self.options.fau, network.width, len(network.branches), joints
        )

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return weighted(self.fau(maps.features), maps.last)

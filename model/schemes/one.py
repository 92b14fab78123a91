"""`one`: On-the-Fly Native Ensemble, a gate over branches (Lan et al., NeurIPS 2018).

*Knowledge Distillation by On-the-Fly Native Ensemble*, arXiv:1806.04606; Lan1991Xu/ONE_NeurIPS2018
at 9da95a8: `models/cifar/resnet.py` (gate: FC, BN, ReLU, softmax over branches, on the pooled
features of what branches share), `loss/kl_loss.py` (τ 3, times τ², target without gradient),
`cifar_one.py` (label terms of branches and ensemble with weight 1, KL ramped over 80 of 300
epochs). So the gate learns from the ensemble's label term alone.

Where a heatmap stands in the place of a class: the softmax is over a joint's cells, the mean over
labelled joints instead of pictures, the gate's weight one a person and branch for all joints, and
every stack of a branch has a label term and learns, its last map alone is in the ensemble. With
`target.term: mse` maps reach to 1 and σ₃ of them is almost flat: the paper's τ is meant for logits.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from model.config import Config
from model.config.scheme import OneConfig
from model.network import BranchMaps
from model.schemes.ensemble import ByEnsemble, weighted


class Gate(nn.Module):
    """Which branch is right about this person."""

    def __init__(self, width: int, branches: int) -> None:
        super().__init__()
        # Theirs has a bias, which the normalisation takes out again.
        self.score = nn.Linear(width, branches, bias=False)
        self.norm = nn.BatchNorm1d(branches)

    def forward(self, features: Tensor) -> Tensor:
        """features `[N, F, h, w]` to weights float32 `[N, B]` that sum to 1 over B."""
        scores = self.score(features.mean((-2, -1))).float()
        return self._normalised(scores).relu().softmax(1)

    def _normalised(self, scores: Tensor) -> Tensor:
        norm = self.norm
        if len(scores) > 1 or not norm.training:
            normalised: Tensor = norm(scores)
            return normalised
        # One person has no statistics: those kept so far stand in.
        return F.batch_norm(
            scores, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
        )


class One(ByEnsemble[OneConfig]):
    """T = Σ_b g_b · Z_{b,S_b}, g from the gate."""

    TAU_SQUARED = True

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        self.gate = Gate(config.network.width, len(config.network.branches))

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return weighted(self.gate(maps.features)[..., None], maps.last)

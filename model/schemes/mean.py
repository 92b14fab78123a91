"""`mean`: the branches' plain mean teaches each, OKDHP without its FAU (ICCV 2021).

The paper's ablation of the FAU, arXiv:2108.02092; its code has no such variant. All else, the
defaults too, is as in `okdhp`.
"""

from torch import Tensor

from model.config.scheme import MeanConfig
from model.network import BranchMaps
from model.schemes.ensemble import ByEnsemble


class Mean(ByEnsemble[MeanConfig]):
    """T = 1/B · Σ_b Z_{b,S_b}."""

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return maps.last.float().mean(0)

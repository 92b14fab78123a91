"""`dml`: Deep Mutual Learning, branches teach each other (Zhang et al., CVPR 2018).

arXiv:1706.00384; YingZhangDUT/Deep-Mutual-Learning at c3d6ff1, `train_models.py`: no temperature,
weight 1, no ramp, and each network's KL moves that network alone (targets without gradient). The
paper takes the mean over the B − 1 peers, its code their sum: ours is the mean.

Where ours must differ: the students stand on one stem and move in one step, theirs are separate
networks updated in turn; the softmax is over a joint's cells, the mean over labelled joints; each
stack of a branch learns from its peers' last maps. A shared stack's map belongs to every branch
and learns from all of them alike.
"""

import torch
from torch import Tensor

from model.config import Config
from model.config.scheme import DmlConfig
from model.losses import Whole, label_loss
from model.network import BranchMaps
from model.schemes.base import Losses
from model.schemes.teaching import Teaching, teacher_of_map


class Dml(Teaching[DmlConfig]):
    """Σ_b Σ_s [ gt(Z_{b,s}, G) + λ_kd/(B−1) · Σ_{c≠b} KL(σ(Z_{c,S_c}) ‖ σ(Z_{b,s})) ]."""

    teacher_of_map: Tensor

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        everybody = len(config.network.branches)
        of_map = teacher_of_map(everybody, range(everybody), config.network)
        self.register_buffer("teacher_of_map", of_map, persistent=False)  # follows the device

    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        every = maps.every
        label = label_loss(every, target, seen, self.term, whole)
        return Losses(
            label=label,
            ensemble=label.new_zeros(()),
            distill=self.distil(every, maps.last.detach(), target, seen, ramp, whole),
        )

    def per_map(self, of_teachers: Tensor) -> Tensor:
        """For each branch the mean over its peers, for a shared stack the mean over all."""
        others = (of_teachers.sum(0) - of_teachers) / (len(of_teachers) - 1)  # B …
        return torch.cat([others, of_teachers.mean(0, keepdim=True)]).index_select(
            0, self.teacher_of_map
        )

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return maps.last.float().mean(0)

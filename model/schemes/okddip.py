"""`okddip`: diverse peers and a group leader (Chen et al., AAAI 2020).

*Online Knowledge Distillation with Diverse Peers*, arXiv:1912.00350; DefangChen/OKDDip at c052f5b:
`models/model_cifar/resnet_GL.py` (two projections without bias to an eighth of the width, softmax
over peers, the peer itself among them; what is averaged are logits, before the softmax),
`train_GL.py` and `utils.py` (τ 3, times τ², weight 1, ramp over 80 of 300 epochs). No target is
detached: the projections learn by nothing else, and the leader's KL moves its peers as well.

The last branch is the leader, the one that is deployed; the others are its auxiliary peers, and
their mean is the ensemble that the code reports. With two branches there is one peer, whose target
is itself (α = 1, nothing to attend to): it learns from the label, and the leader from it.

Where ours must differ: the softmax is over a joint's cells, the mean over labelled joints; α is
one for all joints of a person; peers of another width have projections of their own; each stack of
a branch learns from its branch's target, a shared stack from the leader's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.config import Config
from model.config.scheme import OkddipConfig
from model.losses import Whole, label_loss
from model.network import BranchMaps
from model.schemes.base import Losses
from model.schemes.teaching import Teaching, teacher_of_map


class Attention(nn.Module):
    """α_ab = softmax_b(L(h_a) · E(h_b)), h_a the pooled features of peer a."""

    def __init__(self, widths: Sequence[int], length: int) -> None:
        super().__init__()

        def projections() -> nn.ModuleDict:
            return nn.ModuleDict(
                {str(width): nn.Linear(width, length, bias=False) for width in sorted({*widths})}
            )

        self.asks, self.answers = projections(), projections()

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """features: P tensors `[N, W_a, h, w]` to α float32 `[N, P, P]`, rows that sum to 1."""
        pooled = [peer.mean((-2, -1)) for peer in features]
        asks = torch.stack([self.asks[str(h.shape[1])](h) for h in pooled], 1).float()
        answers = torch.stack([self.answers[str(h.shape[1])](h) for h in pooled], 1).float()
        # No product of matrices here and below: mixed precision would make one in bfloat16.
        return (asks[:, :, None] * answers[:, None]).sum(-1).softmax(-1)


class Okddip(Teaching[OkddipConfig]):
    """Σ gt(Z, G) + λ_kd · τ² · r · [Σ_a KL(σ_τ(Σ_b α_ab Z_b) ‖ σ_τ(Z_a)) + KL(σ_τ(Z̄) ‖ σ_τ(Z_B))].

    a and b are peers, Z̄ their mean, B the leader.
    """

    TAU_SQUARED = True

    teacher_of_map: Tensor

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__(config, joints)
        network = config.network
        widths = [branch.width or network.width for branch in network.branches[:-1]]
        length = self.options.hidden or network.width // 8
        self.attention = Attention(widths, length) if len(widths) > 1 else None
        leaders = len(widths)
        of_map = teacher_of_map(leaders, [*range(leaders), leaders], network)
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
            distill=self.distil(every, self._teachers(maps), target, seen, ramp, whole),
        )

    def _teachers(self, maps: BranchMaps) -> Tensor:
        """`[P + 1, N, K, h, w]`: each peer's own and the leader's."""
        own = peers = maps.last[:-1].float()  # P N K h w
        if self.attention is not None:
            weights = self.attention(maps.branch_features[:-1]).permute(1, 2, 0)  # P P N
            own = (weights[..., None, None, None] * peers).sum(1)
        return torch.cat([own, peers.mean(0, keepdim=True)])

    def per_map(self, of_teachers: Tensor) -> Tensor:
        return of_teachers.index_select(0, self.teacher_of_map)

    def ensemble(self, maps: BranchMaps) -> Tensor:
        """The auxiliary peers' mean."""
        return maps.last[:-1].float().mean(0)

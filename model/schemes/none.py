"""`none`: each branch learns from the label alone, the ground every gain is measured from."""

from torch import Tensor

from model.config.scheme import NoneConfig
from model.losses import Whole, label_loss
from model.network import BranchMaps
from model.schemes.base import Losses, Scheme


class Alone(Scheme[NoneConfig]):
    """No branch sees another; the ensemble, evaluated only, is the branches' mean."""

    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        label = label_loss(maps.every, target, seen, self.term, whole)
        zero = label.new_zeros(())
        return Losses(label=label, ensemble=zero, distill=zero)

    def ensemble(self, maps: BranchMaps) -> Tensor:
        return maps.last.float().mean(0)

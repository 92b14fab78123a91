"""What has weights in a training: the students, and what assembles their target."""

from typing import Any, Final

from torch import Tensor, nn

from model.losses import Whole
from model.network import MultiBranch
from model.schemes import Losses, Scheme

ENSEMBLE: Final = "ensemble"
"""What the branches' joint answer is called beside their names."""


class Learner(nn.Module):
    """The students and what teaches them: the two parts that have weights."""

    def __init__(self, network: MultiBranch, scheme: Scheme[Any]) -> None:
        super().__init__()
        self.network, self.scheme = network, scheme

    def forward(
        self,
        images: Tensor,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        """What the scheme says of crops `[N, 3, H, W]`; the rest as in `Scheme.forward`."""
        losses: Losses = self.scheme(self.network(images), target, seen, ramp, teacher, whole)
        return losses

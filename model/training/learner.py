"""What has weights in a training: the students, and what assembles their target."""

from typing import Any, Final

from torch import nn

from model.network import MultiBranch
from model.schemes import Scheme

ENSEMBLE: Final = "ensemble"
"""What the branches' joint answer is called beside their names."""


class Learner(nn.Module):
    """The students and what teaches them: the two parts that have weights."""

    def __init__(self, network: MultiBranch, scheme: Scheme[Any]) -> None:
        super().__init__()
        self.network, self.scheme = network, scheme

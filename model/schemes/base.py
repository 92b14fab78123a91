"""The interface of every scheme."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar, cast

from pydantic import BaseModel
from torch import Tensor, nn

from model.config import Config
from model.losses import Whole
from model.network import BranchMaps

Options = TypeVar("Options", bound=BaseModel)
"""A scheme's part of the configuration."""


@dataclass(frozen=True)
class Losses:
    """The parts of a scheme's loss, weighted; their sum is what is minimised. Scalars."""

    label: Tensor
    ensemble: Tensor
    distill: Tensor

    @property
    def total(self) -> Tensor:
        return self.label + self.ensemble + self.distill

    def parts(self) -> dict[str, Tensor]:
        """By name, as events and curves show them."""
        return {
            "total": self.total,
            "label": self.label,
            "ensemble": self.ensemble,
            "distill": self.distill,
        }


class Scheme(nn.Module, ABC, Generic[Options]):
    """Built from the configuration and the number of joints; may have weights of its own."""

    teacher: Literal["none", "average", "run"] = "none"
    """Whose maps `forward` is handed: nobody's, the averaged twin's, or another run's."""

    def __init__(self, config: Config, joints: int) -> None:
        super().__init__()
        self.options = cast(Options, config.scheme)
        self.term = config.target.term

    @abstractmethod
    def forward(
        self,
        maps: BranchMaps,
        target: Tensor,
        seen: Tensor,
        ramp: float,
        teacher: Tensor | None = None,
        whole: Whole | None = None,
    ) -> Losses:
        """target `[N, K, h, w]`; seen `[N, K]`, 0…1: how far the joint's label is believed;
        ramp: r(epoch), 0…1; teacher `[N, K, h, w]`: what `self.teacher` asks for, no gradient;
        whole: what every mean is taken over, where these N people are a part of a step's batch
        (on another device, or one part after another); the parts' losses add up to the whole's.

        Raises TypeError where `self.teacher` asks for maps and none are given.
        """

    @abstractmethod
    def ensemble(self, maps: BranchMaps) -> Tensor:
        """The branches' joint answer, `[N, K, h, w]` in the maps' units."""

    def taught_by(self, teacher: Tensor | None) -> Tensor:
        """The maps that `self.teacher` asks for. Raises TypeError where they were forgotten."""
        if teacher is None:
            raise TypeError(
                f"{type(self).__name__}.teacher is {self.teacher!r}: no maps were given"
            )
        return teacher

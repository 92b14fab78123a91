"""The processes that train together, each with its device and its share of every batch."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

from numpy.typing import NDArray
from torch import Tensor, nn

T = TypeVar("T")


class Group:
    """One process by itself; `model.training.parallel.processes` has the one of several.

    Every process of a group calls the same methods in the same order, or all wait for ever.
    """

    rank = 0
    size = 1

    @property
    def leads(self) -> bool:
        """Whether it is this process that writes and tells."""
        return self.rank == 0

    def share(self, people: int) -> slice:
        """Which of so many people are this process's: neighbours, and nobody of another's."""
        return slice(self.rank * people // self.size, (self.rank + 1) * people // self.size)

    def parallel(self, learner: nn.Module) -> nn.Module:
        """A module whose backward pass leaves the sum of all processes' gradients in `learner`,
        and whose batch normalisation looks at all processes' people."""
        return learner

    def apart(self, parallel: nn.Module) -> contextlib.AbstractContextManager[Any]:
        """Within it a backward pass adds to this process's own gradients and tells nobody."""
        return contextlib.nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        """The sum of every process's tensor, on its device."""
        return values

    def any(self, flag: bool) -> bool:
        """Whether a process says so."""
        return flag

    def gather(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows `[P, …]` of every process, by rank: those of `share` in their order."""
        return rows

    def same(self, make: Callable[[], T]) -> T:
        """What the first process makes, for all."""
        return make()

    def in_turn(self, make: Callable[[], T]) -> T:
        """What each makes, after the first of its machine has: where that leaves a file behind,
        the others find it."""
        return make()


ALONE = Group()

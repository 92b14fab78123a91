"""An exponentially averaged twin of a module."""

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Twin = TypeVar("Twin", bound=nn.Module)


class Average(Generic[Twin]):
    """Weights averaged with `decay`; buffers (BN's statistics) averaged alike, counters copied.

    The decay is warmed up as (1 + n) / (10 + n), so that early averages forget the random start.
    """

    def __init__(self, module: Twin, decay: float) -> None:
        self.module: Twin = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, updates: int) -> None:
        """Take in the module's state after its `updates`-th step."""
        decay = min(self.decay, (1 + updates) / (10 + updates))
        ours, theirs = self.module.state_dict(), module.state_dict()
        pairs = [(ours[name], theirs[name]) for name in ours]
        floats = [(a, b) for a, b in pairs if a.dtype.is_floating_point]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 - decay)
        for a, b in pairs:
            if not a.dtype.is_floating_point:
                a.copy_(b)

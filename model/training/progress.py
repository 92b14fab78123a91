"""Where a training stands: plain numbers, saved as they are."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass
class Progress:
    """What a checkpoint holds beside weights."""

    data: str = ""  # fingerprint of what is learnt from
    teacher: str = ""  # sha256 of the weights of another run that teaches
    init: dict[str, Any] = field(default_factory=dict)  # the weights that the run began with
    step: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    best_branch: str = ""
    loss_sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    history: list[dict[str, Any]] = field(default_factory=list)  # an entry an epoch


def mean_parts(sums: dict[str, float], steps: int) -> dict[str, float]:
    """The loss's parts, averaged over an epoch's steps."""
    return {name: round(total / max(steps, 1), 5) for name, total in sums.items()}


def add_parts(sums: dict[str, float], parts: dict[str, Tensor]) -> None:
    """Add one step's parts; one transfer for all of them."""
    values = torch.stack([part.detach().float() for part in parts.values()]).tolist()
    for name, value in zip(parts, values, strict=True):
        sums[name] = sums.get(name, 0.0) + value

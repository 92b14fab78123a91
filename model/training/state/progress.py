"""Where a training stands: plain numbers, saved as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from model.training.state.clock import Spent


@dataclass
class Progress:
    """What a checkpoint holds beside weights."""

    data: str = ""  # fingerprint of what is learnt from
    valid: str = ""  # and of what is judged on
    teacher: str = ""  # sha256 of the weights of another run that teaches
    amp: str = "fp32"  # the precision of `model.training.start.precision` that was chosen
    batch_size: int = 0  # where the configuration leaves it to the device
    epochs: int = 0  # where the time of the device limits them
    init: dict[str, Any] = field(default_factory=dict)  # the weights that the run began with
    step: int = 0
    best_score: float | None = None
    best_epoch: int = 0
    best_branch: str = ""
    loss_sums: dict[str, float] = field(default_factory=dict)  # of the epoch under way
    run_s: float = 0.0  # training, judging and saving
    spent: Spent = field(default_factory=Spent)
    epoch_spent: Spent = field(default_factory=Spent)  # in the epoch under way
    history: list[dict[str, Any]] = field(default_factory=list)  # an entry an epoch

    def forget_best(self) -> None:
        """The best epoch's weights are gone: of those to come one is the best."""
        self.best_score, self.best_epoch, self.best_branch = None, len(self.history), ""

    @classmethod
    def from_saved(cls, tree: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` made of it. Raises KeyError, TypeError."""
        clocks = {name: Spent(**tree[name]) for name in ("spent", "epoch_spent")}
        return cls(**{**tree, **clocks})


def mean_parts(sums: dict[str, float], steps: int) -> dict[str, float]:
    """The loss's parts, averaged over an epoch's steps."""
    return {name: round(total / max(steps, 1), 5) for name, total in sums.items()}


def add_parts(sums: dict[str, float], parts: Mapping[str, float]) -> None:
    """Add one step's parts."""
    for name, value in parts.items():
        sums[name] = sums.get(name, 0.0) + value

"""What changes over epochs, as pure functions of the (fractional) epoch."""

import math

from model.config import OptimConfig


def lr_factor(config: OptimConfig, epoch: float, epochs: int) -> float:
    """Share of `optim.lr` at a point in time: linear warm-up, then steps or half a cosine."""
    if epoch < config.warmup_epochs:
        return max(epoch / config.warmup_epochs, 1e-3)
    if config.schedule == "step":
        return float(config.gamma ** sum(epoch >= milestone for milestone in config.milestones))
    along = (epoch - config.warmup_epochs) / max(epochs - config.warmup_epochs, 1e-9)
    return 0.5 * (1 + math.cos(math.pi * min(along, 1.0)))


def ramp_up(epoch: int, length: float) -> float:
    """r(e) = exp(−5 (1 − min(e, L)/L)²), from e⁻⁵ to 1 (OKDHP, eq. 9); 1 where L is 0."""
    if not length:
        return 1.0
    return math.exp(-5 * (1 - min(epoch, length) / length) ** 2)

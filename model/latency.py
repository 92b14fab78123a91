"""How long students take, side by side."""

import time
from collections.abc import Sequence
from typing import Final

import numpy as np

from model.predictor import Predictor

ROUNDS: Final = 100
LONGEST_S: Final = 20.0


def interleaved_ms(
    predictors: Sequence[Predictor], *, rounds: int = ROUNDS, longest_s: float = LONGEST_S
) -> list[float]:
    """The median time of one crop, of each, in milliseconds.

    One inference of each in turn, round by round, so that a machine that is busy for a while slows
    all of them alike. Ends early after `longest_s`, never before the third round.
    """
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (1, *p.card.size, 3), np.uint8) for p in predictors]
    taken = np.empty((rounds, len(predictors)))
    ends = time.monotonic() + longest_s
    for i in range(rounds):
        for j, (predictor, crop) in enumerate(zip(predictors, crops, strict=True)):
            began = time.perf_counter()
            predictor.infer(crop)
            taken[i, j] = 1e3 * (time.perf_counter() - began)
        if i >= 2 and time.monotonic() > ends:
            taken = taken[: i + 1]
            break
    return [float(ms) for ms in np.median(taken, axis=0)]

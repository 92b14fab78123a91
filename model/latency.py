"""How long students take, side by side, and on what."""

import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from model.cores import cores
from model.predictor import Predictor

ROUNDS: Final = 100
LONGEST_S: Final = 20.0


def interleaved_ms(
    predictors: Sequence[Predictor],
    *,
    batch: int = 1,
    rounds: int = ROUNDS,
    longest_s: float = LONGEST_S,
) -> list[float]:
    """The median time of one inference of `batch` crops, of each, in milliseconds.

    One inference of each in turn, round by round, so that a machine that is busy for a while slows
    all of them alike. Ends early after `longest_s`, never before the third round.
    """
    rng = np.random.default_rng(0)
    crops = [rng.integers(0, 256, (batch, *p.card.size, 3), np.uint8) for p in predictors]
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


def device_name(provider: str) -> str:
    """What a provider of `model.predictor.PROVIDERS` computes on here, as people know it."""
    if provider == "cpu":
        return f"{_cpu()}, {cores()} cores"
    try:
        told = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown GPU"
    return told.partition("\n")[0].strip() or "unknown GPU"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()

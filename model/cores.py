"""How many CPU cores this process may really use: in a container fewer than the machine has."""

import math
import os
from pathlib import Path

from model.cgroups import HIERARCHY, MEMBERSHIP, folders


def cores() -> int:
    """Cores by the affinity mask and by the control group's CPU quota, whichever is fewer."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota(HIERARCHY, MEMBERSHIP)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(hierarchy: Path, membership: Path) -> float | None:
    """Cores' worth of CPU time that a control group grants, of version 1 or 2; None: no limit.

    hierarchy, membership: of `model.cgroups.folders`.
    """
    quotas = [
        quota
        for folder in folders("cpu", hierarchy, membership)
        if (quota := _v2(folder) or _v1(folder)) is not None
    ]
    return min(quotas, default=None)


def _v2(folder: Path) -> float | None:
    return _cores(_words(folder / "cpu.max"))


def _v1(folder: Path) -> float | None:
    return _cores(_words(folder / "cpu.cfs_quota_us") + _words(folder / "cpu.cfs_period_us"))


def _words(file: Path) -> list[str]:
    try:
        return file.read_text().split()
    except OSError:
        return []


def _cores(words: list[str]) -> float | None:
    """From "quota period" in microseconds; "max" or −1 for none."""
    if len(words) != 2 or not words[0].isdigit() or not words[1].isdigit():
        return None
    quota, period = map(int, words)
    return quota / period if quota and period else None

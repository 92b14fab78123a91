"""How many CPU cores this process may really use: in a container fewer than the machine has."""

import math
import os
from pathlib import Path
from typing import Final

_HIERARCHY: Final = Path("/sys/fs/cgroup")
_MEMBERSHIP: Final = Path("/proc/self/cgroup")


def cores() -> int:
    """Cores by the affinity mask and by the control group's CPU quota, whichever is fewer."""
    allowed = len(os.sched_getaffinity(0))
    quota = cpu_quota(_HIERARCHY, _MEMBERSHIP)
    return allowed if quota is None else max(1, min(allowed, math.ceil(quota)))


def cpu_quota(hierarchy: Path, membership: Path) -> float | None:
    """Cores' worth of CPU time that a control group grants, of version 1 or 2; None: no limit.

    hierarchy: where control groups are mounted. membership: this process's lines of
    `/proc/self/cgroup`. Within a container the group's own files often lie at the mount itself,
    whatever path the host calls it by; a limit of any group above holds as well.
    """
    quotas = [
        quota
        for controllers, path in _groups(membership)
        for folder in _upwards(hierarchy, controllers, path)
        if (quota := _v2(folder) or _v1(folder)) is not None
    ]
    return min(quotas, default=None)


def _groups(membership: Path) -> list[tuple[str, str]]:
    """(controllers, path) of each line "number:controllers:path"; version 2 names no controller."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux, or hidden
        return []
    parts = [line.split(":", 2) for line in lines]
    return [
        (controllers, path)
        for _, controllers, path in (part for part in parts if len(part) == 3)
        if not controllers or "cpu" in controllers.split(",")
    ]


def _upwards(hierarchy: Path, controllers: str, path: str) -> list[Path]:
    """The group's folder and all above it, to the mount."""
    mounts = [hierarchy / controllers, hierarchy / "cpu"] if controllers else [hierarchy]
    group = Path(path.lstrip("/"))
    return [mount / part for mount in mounts for part in (group, *group.parents)]


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

"""Whether a killed process was killed for memory, as far as the kernel's evidence goes."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from model.cgroups import HIERARCHY, folders

_NEAR: Final = 0.85
"""Of the limit: a process that grows fast is killed between two looks."""
_PROC: Final = Path("/proc")
_CGROUP: Final = HIERARCHY


class MemoryWatch:
    """Looks at one child from its start on."""

    def __init__(self, pid: int, *, limit: int | None = None) -> None:
        """limit: bytes that the process may have; by default what this process's group may."""
        self._statm = _PROC / str(pid) / "statm"
        self._limit = memory_limit() if limit is None else limit
        self._kills = oom_kills()
        self._rss = 0

    def look(self) -> None:
        """Note how much the child has now."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            resident = int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            self._rss = resident or self._rss  # a zombie has none

    @property
    def killed(self) -> bool:
        """Of a child that KILL ended: whether the kernel did it, for memory.

        It says so where it counts such kills of our group; else the child's last size tells.
        """
        kills = oom_kills()
        if kills is not None and self._kills is not None and kills > self._kills:
            return True
        return self._limit is not None and self._rss >= _NEAR * self._limit


def oom_kills() -> int | None:
    """How many processes of this process's control group were killed for memory; None unknown."""
    for folder in _groups():
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError, ValueError):
                for line in (folder / name).read_text().splitlines():
                    key, _, count = line.partition(" ")
                    if key == "oom_kill":
                        return int(count)
    return None


def memory_limit() -> int | None:
    """Bytes that this process's control group may have, at most what the machine has."""
    limits = []
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (_PROC / "meminfo").read_text().splitlines()
        total_kib = next(line.split()[1] for line in lines if line.startswith("MemTotal:"))
        limits.append(int(total_kib) << 10)
    for folder in _groups():
        for name in ("memory.max", "memory.limit_in_bytes"):
            with contextlib.suppress(OSError, ValueError):  # "max" is no number
                limits.append(int((folder / name).read_text()))
    return min(limits, default=None)


def _groups() -> Iterator[Path]:
    return folders("memory", _CGROUP, _PROC / "self" / "cgroup")

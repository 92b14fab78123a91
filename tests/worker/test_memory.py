"""The kernel's evidence about a killed child: control groups of both versions, and its size."""

import os
from pathlib import Path

import pytest

from worker import memory
from worker.memory import MemoryWatch, memory_limit, oom_kills


@pytest.mark.parametrize(
    ("listed", "folder", "counts", "limit"),
    [
        ("0::/job", "job", "memory.events", "memory.max"),
        ("0::/", "", "memory.events", "memory.max"),
        ("3:cpu:/x\n4:memory:/job", "memory/job", "memory.oom_control", "memory.limit_in_bytes"),
        ("4:memory:/outside/name", "memory", "memory.oom_control", "memory.limit_in_bytes"),
    ],
)
def test_a_kill_for_memory_is_counted_by_the_control_group(
    listed: str,
    folder: str,
    counts: str,
    limit: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Version 2 and 1, seen from inside a container and from outside."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")
    group = tmp_path / "cgroup" / folder
    for path in (group, tmp_path / "proc" / "self"):
        path.mkdir(parents=True)
    (tmp_path / "proc" / "self" / "cgroup").write_text(listed + "\n")
    (group / counts).write_text("oom_kill_disable 0\noom 2\noom_kill 1\n")
    (group / limit).write_text("4096\n")

    watch = MemoryWatch(os.getpid())
    assert (oom_kills(), memory_limit(), watch.killed) == (1, 4096, False)

    (group / counts).write_text("oom_kill 2\n")
    assert watch.killed


def test_without_a_count_the_size_tells() -> None:
    """Near what it may have at the last look."""
    for limit, killed in ((1 << 50, False), (1 << 20, True)):
        watch = MemoryWatch(os.getpid(), limit=limit)
        watch.look()
        assert watch.killed is killed


def test_a_limit_is_known_here() -> None:
    """At most what the machine has."""
    limit = memory_limit()

    assert limit is not None
    assert limit <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 1.1

"""The control groups that limit this process: their folders, of version 1 or 2."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

HIERARCHY: Final = Path("/sys/fs/cgroup")
MEMBERSHIP: Final = Path("/proc/self/cgroup")


def folders(
    controller: str, hierarchy: Path = HIERARCHY, membership: Path = MEMBERSHIP
) -> Iterator[Path]:
    """Where the groups' files of a controller, as `cpu` or `memory`, may lie: the process's own
    group first, then all above it, whose limits hold as well.

    hierarchy: where control groups are mounted. membership: this process's lines of
    `/proc/self/cgroup`. Within a container the group's own files often lie at the mount itself,
    whatever path the host calls it by.
    """
    for controllers, path in _groups(membership, controller):
        # Version 2 names no controller, and has all at one mount.
        places = (controllers, controller) if controllers else ("",)
        group = Path(path.lstrip("/"))
        for mount in dict.fromkeys(hierarchy / place for place in places):
            yield from (mount / part for part in (group, *group.parents))


def _groups(membership: Path, controller: str) -> list[tuple[str, str]]:
    """(controllers, path) of each line "number:controllers:path" that the controller is of."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:  # not Linux, or hidden
        return []
    parts = [line.split(":", 2) for line in lines]
    return [
        (controllers, path)
        for _, controllers, path in (part for part in parts if len(part) == 3)
        if not controllers or controller in controllers.split(",")
    ]

"""A job's child process and all that it starts: one process group of its own."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from worker.bound import bound

_POLL_S: Final = 0.05


class ChildGroup:
    """Started at once; ended as a whole. It dies with the thread that started it."""

    def __init__(
        self, command: Sequence[str], *, output: IO[bytes], environment: Mapping[str, str]
    ) -> None:
        """output: takes stdout and stderr."""
        self._process = subprocess.Popen(
            bound(list(command)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            start_new_session=True,  # a session and a group: a terminal's Ctrl-C does not reach it
        )
        self.pgid: int = self._process.pid

    def exit_status(self) -> int | None:
        """Of the child, −N if signal N ended it; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask all of the group to end."""
        self._signal(signal.SIGTERM)

    def end(self, grace_s: float) -> None:
        """Wait so long for the whole group to end, then kill it; returns once nobody is left.

        A process that the kernel cannot kill (waiting for a dead disk) keeps this waiting: the job
        has not ended as long as it may still write.
        """
        deadline = time.monotonic() + grace_s
        while self.exit_status() is None or group_lives(self.pgid):
            if time.monotonic() >= deadline:
                self._signal(signal.SIGKILL)
            time.sleep(_POLL_S)

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self.pgid, number)


def group_lives(pgid: int) -> bool:
    """Whether a process of the group runs. Zombies do not: init may be slow to take them away."""
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not Path("/proc/self/stat").exists():
        return True  # no Linux: the kernel's word must do
    return any(True for _ in group_members(pgid))


def group_members(pgid: int) -> Iterator[int]:
    """The running processes of a group; none where there is no `/proc`."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # "pid (name) state ppid pgrp …"; the name may hold anything, a bracket as well
            state, _, group = stat.read_text().rpartition(") ")[2].split(" ")[:3]
        except (OSError, UnicodeDecodeError, ValueError):
            continue  # it ended while we looked
        if int(group) == pgid and state not in "ZX":
            yield int(stat.parent.name)

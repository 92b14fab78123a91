"""Processes that a server keeps alive beside itself."""

import logging
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

Process = subprocess.Popen[bytes]

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
STEADY_S: Final = 60.0
"""Who ran for so long has earned a short pause again."""


class Kept:
    """A child that is started again when it ends, after ever longer pauses."""

    def __init__(self, name: str, start: Callable[[], Process]) -> None:
        """start: must be called by the main thread, whose end ends the child (`worker.bound`)."""
        self.name = name
        self._start = start
        self._process: Process | None = None
        self._pause_s = FIRST_PAUSE_S
        self._started_at = 0.0
        self._due_at = 0.0

    def look(self, now_s: float) -> None:
        """Starts the child if it is due. now_s: a monotonic clock."""
        if self._process is not None:
            status = self._process.poll()
            if status is None:
                return
            if now_s - self._started_at >= STEADY_S:
                self._pause_s = FIRST_PAUSE_S
            log.error(
                "the %s ended (%s); it is started again in %.0f s",
                self.name,
                _ending(status),
                self._pause_s,
            )
            self._process = None
            self._due_at = now_s + self._pause_s
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if now_s >= self._due_at:
            try:
                self._process = self._start()
            except Exception as error:  # a server without this child is still worth having
                log.error("the %s does not start: %s", self.name, error)
                self._due_at = now_s + self._pause_s
                self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
            self._started_at = now_s

    def ask_to_end(self) -> None:
        """TERM, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def ended(self) -> bool:
        """Whether no process of it runs."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """KILL to the child's whole process group."""
        if self._process is not None and self._process.poll() is None:
            log.warning("the %s did not end in time and is killed", self.name)
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit code {status}"

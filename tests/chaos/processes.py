"""Processes of this machine: found, stopped, waited for."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from worker.process import group_members


def child_group(job_id: str) -> int | None:
    """The process group that works on a job; None while nobody does."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().split(b"\0")
        except OSError:
            continue
        # Not yet while it is worker.bound, which becomes the child.
        if job_id.encode() in command and b"worker.bound" not in command:
            try:
                return os.getpgid(int(path.parent.name))
            except ProcessLookupError:
                continue
    return None


def kill_child(job_id: str) -> None:
    pgid = child_group(job_id)
    assert pgid is not None
    os.killpg(pgid, signal.SIGKILL)


def kill_worker(worker: "subprocess.Popen[bytes]", job_id: str) -> None:
    """Its child must end with it, by the kernel's hand."""
    worker.kill()
    worker.wait()
    wait_until(lambda: child_group(job_id) is None, "the child ends with its worker", 10)


def stop_group(pgid: int) -> None:
    """STOP, and wait until every process of the group stands still."""
    os.killpg(pgid, signal.SIGSTOP)
    wait_until(lambda: all(_state(pid) in "TtZX" for pid in group_members(pgid)), "a stop", 5)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "X"


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until(
    there: Callable[[], bool], what: str | Callable[[], str], within_s: float = 120
) -> None:
    """Raises TimeoutError with what was waited for."""
    until = time.monotonic() + within_s
    while not there():
        if time.monotonic() > until:
            raise TimeoutError(what if isinstance(what, str) else what())
        time.sleep(0.02)

"""One process group at a time works in a run folder, whatever the leases say.

A worker that was stopped past its lease wakes up and ends its child, but until then the child
works on. The next attempt's child on the same host therefore ends the one before first.
"""

import contextlib
import fcntl
import logging
import os
import signal
import time
from pathlib import Path
from typing import Final

from worker.process import group_members

log = logging.getLogger(__name__)

LOCK: Final = "run.lock"
_POLL_S: Final = 0.1


def take_run(run_dir: Path, job_id: str, *, grace_s: float) -> None:
    """Take the folder for this process and its forks until all of them have ended.

    An earlier attempt's process group is asked to end and killed after `grace_s`. Waits as long
    as that takes.
    """
    # Never closed: the kernel frees the lock with the last process that has it open.
    file = _taken(run_dir, job_id, grace_s)
    os.ftruncate(file, 0)
    os.pwrite(file, str(os.getpgrp()).encode(), 0)


def end_earlier(run_dir: Path, job_id: str, *, grace_s: float) -> None:
    """End an earlier attempt that still works in the folder; waits as `take_run`."""
    if (run_dir / LOCK).exists():
        os.close(_taken(run_dir, job_id, grace_s))


def _taken(run_dir: Path, job_id: str, grace_s: float) -> int:
    """The file descriptor that holds the folder."""
    file = os.open(run_dir / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    began = time.monotonic()
    sent: signal.Signals | None = None
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            waited = time.monotonic() - began
        # The first moments are for a holder that has not written its id yet.
        wanted = signal.SIGTERM if waited < 0.5 + grace_s else signal.SIGKILL
        if waited > 0.5 and wanted is not sent and (pgid := _holder(file, job_id)):
            log.warning("an earlier attempt still works here: %s to group %d", wanted.name, pgid)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pgid, wanted)
            sent = wanted
        time.sleep(_POLL_S)


def _holder(file: int, job_id: str) -> int | None:
    """The group that holds the folder, if it can be told for sure: ids are used again."""
    text = os.pread(file, 20, 0)
    if not text.isdigit():
        return None
    for pid in group_members(int(text)):
        with contextlib.suppress(OSError):
            if job_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                return int(text)
    return None

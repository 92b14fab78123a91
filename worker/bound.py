"""Processes that must not outlive the one that started them.

`python -m worker.bound PID COMMAND…` becomes COMMAND, bound to the process PID that starts it.
"""

import ctypes
import os
import signal
import sys
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>


def die_with(parent_pid: int) -> None:
    """Have the kernel kill this process when the thread that started it ends.

    KILL, since a process that is asked to end may take its time, and another may have taken over.
    Outlives exec. Only Linux can; elsewhere this does nothing.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:  # it ended before the line above
        os.kill(os.getpid(), signal.SIGKILL)


def bound(command: list[str]) -> list[str]:
    """`command` for Popen, bound to this process.

    -P: the folder that a person stands in may hold another `worker`.
    """
    return [sys.executable, "-P", "-m", "worker.bound", str(os.getpid()), *command]


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])

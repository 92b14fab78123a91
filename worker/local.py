"""Jobs' child processes on this machine without a server: several at once, each in its folder.

They are the children that a worker starts: they resume what lies in the folder, and TERM makes
them save and end.
"""

import os
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from model.cores import cores
from model.training.events import EventFollower
from worker.attempt import CHILD, LOG
from worker.child import FINISHED, STOPPED, write_order
from worker.failure import Failure, batch_size_of, failure_of_exit
from worker.process import ChildGroup

_POLL_S: Final = 0.1
_ASKED: Final = Failure("stopped", "it was asked to end and saved what it had")


@dataclass(frozen=True)
class LocalJob:
    """name: of its folder. kind, spec: as `worker.jobs` has them, paths of this machine inside."""

    name: str
    kind: str
    spec: Mapping[str, Any]


Listener = Callable[[str, dict[str, Any]], None]
"""Gets a job's name and each new event of it, the last one being `ended` with its `failure`."""


class LocalJobs:
    """Runs jobs to their end, `at_once` together on equal shares of the cores.

    Until the first has begun its work it is alone: it cuts out the people that all learn from, and
    the others find them in the cache.
    """

    def __init__(
        self,
        folder: Path,
        *,
        at_once: int = 1,
        device: str = "auto",
        grace_s: float = 60.0,
        child: Sequence[str] = CHILD,
    ) -> None:
        """folder: of the jobs' folders, and of their common cache.

        grace_s: between TERM and KILL when they are asked to end; a checkpoint fits in.
        """
        self._folder = folder
        self._at_once = at_once
        self._device = device
        self._grace_s = grace_s
        self._child = tuple(child)
        self._warm = False

    def run(
        self, jobs: Iterable[LocalJob], *, stop: Callable[[], bool], listen: Listener
    ) -> dict[str, Failure]:
        """The jobs that did not finish, by name, and why. Others go on when one fails.

        stop: once it is True all children are asked to save and end, and no other is started. On
        an exception they are ended too.
        """
        waiting = deque(jobs)
        running: list[_Running] = []
        failures: dict[str, Failure] = {}
        try:
            while running or (waiting and not stop()):
                most = self._at_once if self._warm else 1
                while waiting and len(running) < most and not stop():
                    running.append(_Running(self, waiting.popleft(), listen))
                for one in list(running):
                    self._warm |= one.follow()
                    if one.ended:
                        running.remove(one)
                        self._warm = True
                        if (failure := one.conclude()) is not None:
                            failures[one.job.name] = failure
                if stop():
                    break
                time.sleep(_POLL_S)
        finally:
            _end(running, self._grace_s)
        for one in running:
            one.follow()
            if (failure := one.conclude()) is not None:
                failures[one.job.name] = failure
        return failures | {job.name: _ASKED for job in waiting}

    def start(self, job: LocalJob) -> ChildGroup:
        """Start a job's child in its folder."""
        run_dir = self._folder / job.name
        write_order(
            run_dir,
            job.spec,
            device=self._device,
            cache=self._folder / "cache",
            grace_s=self._grace_s,
        )
        threads = max(1, cores() // self._at_once)
        command = [*self._child, "--job", job.name, "--kind", job.kind, "--run", str(run_dir)]
        with (run_dir / LOG).open("ab") as output:
            return ChildGroup(
                command,
                output=output,
                environment=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": str(threads)},
            )

    def follower(self, job: LocalJob) -> EventFollower:
        """Of the job's events from now on; what an earlier attempt told is passed over."""
        follower = EventFollower(self._folder / job.name)
        while follower.read():
            pass
        return follower


class _Running:
    """One child and what it told."""

    def __init__(self, jobs: LocalJobs, job: LocalJob, listen: Listener) -> None:
        self.job = job
        self._listen = listen
        self._follower = jobs.follower(job)
        self._last: dict[str, Any] | None = None
        self.child = jobs.start(job)

    def follow(self) -> bool:
        """Pass on what is new; whether it has begun to work with that."""
        begun = False
        for event in self._follower.read():
            self._last = event
            begun |= event["kind"] == "started"
            self._listen(self.job.name, event)
        return begun

    @property
    def ended(self) -> bool:
        return self.child.exit_status() is not None

    def conclude(self) -> Failure | None:
        """After its end: why it did not finish, None if it did."""
        self.child.end(0)  # what the child started ends with it
        self.follow()
        status = self.child.exit_status() or 0
        failure = None
        if status in (STOPPED, -signal.SIGTERM):
            failure = _ASKED
        elif status != FINISHED:
            failure = failure_of_exit(status, self._last, batch_size=batch_size_of(self.job.spec))
        self._listen(self.job.name, {"kind": "ended", "failure": failure})
        return failure


def _end(running: Iterable[_Running], grace_s: float) -> None:
    """Ask all of them first, so that they save at the same time."""
    for one in running:
        one.child.terminate()
    for one in running:
        one.child.end(grace_s)

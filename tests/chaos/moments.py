"""The moments of a job's life at which a fault is injected.

Each is found by what it leaves to see, never by waiting so long; whoever is at work then is stopped
(SIGSTOP), so that the fault hits just there.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from installation import Installation
from processes import child_group, stop_group, wait_until

from worker.store import State

MOMENTS: Final = ("queued", "starting", "mid-epoch", "checkpoint", "evaluating", "uploading")

_WITHIN_S: Final = 120.0
_AFTER_EPOCH: Final = 2
"""A resume has something to go on from by then."""


@contextmanager
def at(moment: str, installation: Installation, job_id: str, worker: int | None) -> Iterator[None]:
    """The block runs at that moment, with the child stopped, for `uploading` its worker as well.

    worker: its process. What still lives after the block goes on.
    """
    if moment == "queued":
        assert installation.job(job_id).state == State.QUEUED
        yield
        return
    stopped = _uploading(installation, job_id, worker) if moment == "uploading" else []
    if moment != "uploading":
        stopped = [_in_the_child(moment, installation, job_id)]
    try:
        yield
    finally:
        for pgid in stopped:
            with suppress(ProcessLookupError):
                os.killpg(pgid, signal.SIGCONT)


def _in_the_child(moment: str, installation: Installation, job_id: str) -> int:
    """The child's group, stopped at the moment; it is let go where the moment was missed."""
    run_dir = installation.settings.run_dir(job_id)

    def saved() -> bool:
        return _last_checkpoint(run_dir) >= _AFTER_EPOCH

    near, seen, still = {
        "starting": (_always, _always, lambda: not _events(run_dir)),
        "mid-epoch": (saved, _always, lambda: _kinds(run_dir)[-1] in ("checkpoint", "progress")),
        "checkpoint": (saved, lambda: _half_written(run_dir), lambda: _half_written(run_dir)),
        "evaluating": (
            lambda: "evaluating" in _kinds(run_dir),
            _always,
            lambda: "finished" not in _kinds(run_dir),
        ),
    }[moment]
    wait_until(lambda: child_group(job_id) is not None, f"a child works on {job_id}", _WITHIN_S)
    wait_until(near, f"{moment} of {job_id}", _WITHIN_S)
    pgid = child_group(job_id)
    while pgid is not None:
        _soon(seen)
        stop_group(pgid)
        if still():
            return pgid
        os.killpg(pgid, signal.SIGCONT)
        pgid = child_group(job_id)
    raise TimeoutError(f"{moment} of {job_id} was missed: {_kinds(run_dir)[-3:]}")


def _uploading(installation: Installation, job_id: str, worker: int | None) -> list[int]:
    """Worker and child, stopped with a file of the job half in the store, or the first just there
    where copying is too quick to be seen."""
    assert worker is not None
    run_dir = installation.settings.run_dir(job_id)
    stored = installation.home / "artifacts" / "jobs" / job_id
    outgoing = installation.home / "cache" / "outgoing"  # to a store that is somewhere else
    wait_until(lambda: "evaluating" in _kinds(run_dir), f"evaluating of {job_id}", _WITHIN_S)
    _soon(lambda: any(stored.glob("*")) or any(outgoing.glob(f"*jobs_{job_id}*")))
    stop_group(worker)
    child = child_group(job_id)
    if child is None:
        return [worker]
    stop_group(child)
    return [child, worker]


def _always() -> bool:
    return True


def _soon(seen: Callable[[], bool]) -> None:
    """As `wait_until`, looking without a pause to speak of: some moments last for milliseconds."""
    until = time.monotonic() + _WITHIN_S
    while not seen():
        if time.monotonic() > until:
            raise TimeoutError("the moment did not come")
        time.sleep(0.0005)


def _events(run_dir: Path) -> list[dict[str, Any]]:
    with suppress(FileNotFoundError):
        data = (run_dir / "events.jsonl").read_bytes()
        return [json.loads(line) for line in data[: data.rfind(b"\n") + 1].splitlines()]
    return []


def _kinds(run_dir: Path) -> list[str]:
    return [event["kind"] for event in _events(run_dir)]


def _last_checkpoint(run_dir: Path) -> int:
    return max((e["epoch"] for e in _events(run_dir) if e["kind"] == "checkpoint"), default=0)


def _half_written(run_dir: Path) -> bool:
    return any((run_dir / "checkpoints").glob(".last.pt.*.part"))

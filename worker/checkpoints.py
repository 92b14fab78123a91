"""A run's last checkpoint in the artifact store, so that a worker on another host goes on from it.

The job's row names the files that belong together (`Job.checkpoint`); they are stored under names
of their own first, and the row is changed at once. Who reads the row finds a whole checkpoint,
whenever the writer was killed.
"""

import logging
import shutil
import threading
from pathlib import Path
from typing import Any

from model.training.events import EVENTS, EventLog
from model.training.start.begin import BEST, LAST
from worker.artifacts import ArtifactStore, digest
from worker.errors import ArtifactUnusable, LeaseLost
from worker.runlock import LOCK
from worker.store import Claim, JobStore

log = logging.getLogger(__name__)


def folder_of(job_id: str) -> str:
    """Below which keys a job's checkpoints lie."""
    return f"checkpoints/{job_id}"


class CheckpointKeeper:
    """Stores the newest checkpoint beside the supervisor's other work.

    One that is slow to store is followed by the newest at that time: what lies between is passed
    over.
    """

    def __init__(
        self, artifacts: ArtifactStore, jobs: JobStore, claim: Claim, run_dir: Path
    ) -> None:
        self._artifacts, self._jobs = artifacts, jobs
        self._claim, self._run_dir = claim, run_dir
        self._kept: dict[str, Any] = jobs.get(claim.job_id).checkpoint or {"files": {}}
        self._number = 0
        self._due = threading.Event()
        self._ending = False
        self._thread = threading.Thread(
            target=self._run, name=f"checkpoints-{claim.job_id}", daemon=True
        )
        self._thread.start()

    def changed(self) -> None:
        """There is a new checkpoint in the run folder."""
        self._due.set()

    def finish(self) -> None:
        """Wait until the newest one is stored, or could not be."""
        self._ending = True
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            ending = self._ending
            self._due.wait()
            self._due.clear()
            try:
                self._keep()
            except LeaseLost as loss:
                log.info("a checkpoint is not stored: %s", loss)
            except Exception:  # each kind of store has its own errors; the run goes on without
                log.exception("job %s: its checkpoint is not stored", self._claim.job_id)
            if ending or (self._ending and not self._due.is_set()):
                return

    def _keep(self) -> None:
        # The last one first: the best weights that it speaks of are then those stored, or newer.
        files = {}
        for name in (LAST, BEST):
            path = self._run_dir / name
            if not path.exists():
                continue
            known = self._kept["files"].get(name)
            if known is not None and known["sha256"] == digest(path)[0]:
                files[name] = known
                continue
            self._number += 1
            key = f"{folder_of(self._claim.job_id)}/{self._claim.attempt}-{self._number}.pt"
            stored = self._artifacts.put(path, key)
            files[name] = {"key": key, "bytes": stored.bytes, "sha256": stored.sha256}
        if LAST not in files or files == self._kept["files"]:
            return
        self._jobs.keep_checkpoint(self._claim, {"files": files})
        self._kept = {"files": files}
        self._remove_others({file["key"] for file in files.values()})

    def _remove_others(self, kept: set[str]) -> None:
        """What this attempt or an earlier one left; a later one's are not ours to judge."""
        for key in self._artifacts.keys(folder_of(self._claim.job_id)):
            attempt = Path(key).name.lstrip(".").partition("-")[0]  # also of a file cut off
            if key not in kept and int(attempt) <= self._claim.attempt:
                self._artifacts.remove(key)


def place_checkpoint(artifacts: ArtifactStore, checkpoint: dict[str, Any], run_dir: Path) -> bool:
    """Make a run folder anew from what another host stored; False where that is gone or damaged.

    What lay there was of an attempt before that one. Raises DiskFull.
    """
    for old in run_dir.glob("*"):
        if old.name == LOCK:
            continue  # who finds the folder taken waits by it
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    try:
        for name in (BEST, LAST):  # the one that a run goes on from comes last
            if (file := checkpoint["files"].get(name)) is not None:
                artifacts.copy(file["key"], file["sha256"], run_dir / name)
    except ArtifactUnusable as error:
        log.warning("%s begins anew: %s", run_dir.name, error)
        return False
    return True


def number_events(run_dir: Path, after: int, message: str) -> None:
    """Let a run's events be counted on from `after`, where its file ends before.

    message: what a person should know of it; it is the first of them.
    """
    events = EventLog(run_dir / EVENTS)
    if events.seq < after:
        events.seq = after
        events.write("log", level="info", message=message)
    events.close()

"""One claim of a job: a child process works, what it tells is stored, its end is the job's end."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy.exc import InterfaceError, OperationalError

from model.errors import PoseError
from model.training.events import FINISH, EventFollower
from worker.artifacts import checked_key, digest
from worker.checkpoints import CheckpointKeeper, number_events, place_checkpoint
from worker.child import FINISHED, STOPPED, ordered_attempt, write_order
from worker.devices import Device
from worker.errors import ArtifactUnusable, KindUnknown, LeaseLost
from worker.failure import Failure, batch_size_of, failure_of, failure_of_exit, timeout
from worker.heartbeat import Heartbeat
from worker.jobs import JobKind
from worker.memory import MemoryWatch
from worker.paths import hidden
from worker.process import ChildGroup
from worker.runlock import end_earlier
from worker.runlog import LogFollower
from worker.store import Claim, Job, State
from worker.store.actions import BY_THE_USER
from worker.stores import Stores

log = logging.getLogger(__name__)

CHILD: Final = (sys.executable, "-P", "-m", "worker.child")
LOG: Final = "log.txt"
RECORDS: Final = ("metrics.json", "manifest.json")
"""Of every run's files these are kept beside those that its events name."""

_TIMEOUT: Final = "timeout"
_DRAINED: Final = "its worker was asked to end"
_POLL_S: Final = 0.2
_RETRY_S: Final = 1.0
_LOG_LINES: Final = 200
_LOG_BYTES: Final = 256 << 10
_SECRET: Final = (
    "OKDHP_DATABASE_URL",
    "OKDHP_BROKER_URL",
    "OKDHP_ARTIFACTS_URL",
    "OKDHP_CALLBACK_SECRET",
)

T = TypeVar("T")


class Attempt:
    """One claim of one job, until it ends or is given back."""

    def __init__(
        self,
        stores: Stores,
        claim: Claim,
        device: Device,
        *,
        kinds: Mapping[str, JobKind],
        child: Sequence[str],
        draining: threading.Event,
    ) -> None:
        """child: the command that takes a job's `--job --kind --run`. draining: once it is set, the
        job saves what it has and is given back.
        """
        self._stores, self._settings, self._jobs = stores, stores.settings, stores.jobs
        self._device = device
        self._kinds, self._child, self._draining = kinds, child, draining
        self._claim = claim
        self._job: Job = self._jobs.get(claim.job_id)
        self._run_dir: Path = self._settings.run_dir(claim.job_id)
        self._follower = EventFollower(self._run_dir)
        self._last_event: dict[str, Any] | None = None
        self._lines = self._job.log_lines
        self._batch_size = batch_size_of(self._job.resolved)
        self._stopped: int | None = None
        """After which epoch the training was stopped by the user."""
        self._state = State.STARTING

    def run(self) -> None:
        """Raises LeaseLost when another took over; the child has ended then as well."""
        every_s = self._settings.heartbeat_s
        with Heartbeat(self._jobs, self._claim, every_s) as self._heartbeat:
            try:
                self._work()
            except LeaseLost:
                raise
            except Exception as error:
                if not isinstance(error, PoseError):
                    log.exception("job %s failed", self._claim.job_id)
                self._fail(failure_of(error))

    def _work(self) -> None:
        if self._job.kind not in self._kinds:
            # This worker is the older program.
            raise KindUnknown(self._job.kind, sorted(self._kinds))
        kind = self._kinds[self._job.kind]
        spec = kind.prepare(self._job.resolved, self._stores)
        spec |= kind.gathered(self._jobs.parts(self._job.id), self._stores)
        self._place_run()
        write_order(
            self._run_dir,
            spec,
            device=self._device.kind,
            cache=self._settings.home / "cache" / "packs",
            grace_s=self._settings.cancel_grace_s,
            attempt=self._claim.attempt,
        )
        (self._run_dir / FINISH).unlink(missing_ok=True)  # of an earlier stop
        if self._job.stop_requested:
            (self._run_dir / FINISH).touch()
        self._log = LogFollower(self._run_dir / LOG, self._hidden)
        with (self._run_dir / LOG).open("ab") as output:
            output.write(f"--- attempt {self._claim.attempt}\n".encode())
            output.flush()
            child = ChildGroup(
                self._command(),
                output=output,
                environment=_environment() | self._device.environment,
            )
        self._memory = MemoryWatch(child.pgid)
        self._keeper = CheckpointKeeper(
            self._stores.artifacts, self._jobs, self._claim, self._run_dir
        )
        try:
            why = self._follow(child)
        except BaseException:
            child.terminate()
            draining = self._draining.is_set()
            child.end(self._settings.drain_grace_s if draining else self._settings.cancel_grace_s)
            raise
        finally:
            self._keeper.finish()
        self._conclude(kind, child.exit_status(), why)

    def _place_run(self) -> None:
        """Let the run folder be that of the attempt before, wherever that one was."""
        job, run_dir, before = self._job, self._run_dir, self._claim.attempt - 1
        if before == 0 or ordered_attempt(run_dir) == before:
            return
        end_earlier(run_dir, job.id, grace_s=self._settings.cancel_grace_s)
        from_there = job.checkpoint is not None and place_checkpoint(
            self._stores.artifacts, job.checkpoint, run_dir
        )
        if job.event_seq:
            how = "goes on from its last checkpoint" if from_there else "begins anew"
            number_events(run_dir, job.event_seq, f"on another host the run {how}")

    def _command(self) -> list[str]:
        job = ["--job", self._claim.job_id, "--kind", self._job.kind]
        return [*self._child, *job, "--run", str(self._run_dir)]

    def _follow(self, child: ChildGroup) -> str | None:
        """Store what happens until the child's group has ended; why it was asked to, if it was."""
        why, told_to_finish = None, self._job.stop_requested
        while child.exit_status() is None:
            self._memory.look()
            self._store_events()
            self._store_lines(self._log.read())
            if self._heartbeat.lost is not None:
                raise self._heartbeat.lost
            wishes = self._heartbeat.wishes
            if wishes.stop and not told_to_finish:
                (self._run_dir / FINISH).touch()
                told_to_finish = True
            if wishes.cancel:
                why, grace_s = BY_THE_USER, self._settings.cancel_grace_s
            elif wishes.timed_out:
                why, grace_s = _TIMEOUT, self._settings.cancel_grace_s
            elif self._draining.is_set():
                why, grace_s = _DRAINED, self._settings.drain_grace_s
            if why is not None:
                child.terminate()
                child.end(grace_s)
                break
            time.sleep(_POLL_S)
        child.end(0)  # what the child started ends with it
        while self._store_events():
            pass
        self._store_lines(self._log.rest())
        return why

    def _conclude(self, kind: JobKind, status: int | None, why: str | None) -> None:
        """Bring the job to where its child's end leaves it."""
        claim, jobs = self._claim, self._jobs
        if self._heartbeat.wishes.cancel and (why is not None or status != FINISHED):
            self._keep_records()
            self._insist(lambda: jobs.move(claim, State.CANCELLED, BY_THE_USER))
        elif why == _TIMEOUT and status != FINISHED:
            self._fail(timeout(self._job.timeout_s))
        elif status == FINISHED:
            self._advance(State.EVALUATING)
            self._keep_records()
            product = kind.product(self._job, self._run_dir, self._stores)
            stopped = f"stopped by the user after epoch {self._stopped}"
            reason = "finished" if self._stopped is None else stopped
            self._insist(lambda: jobs.succeed(claim, product, reason))
        elif why is not None or status in (STOPPED, -signal.SIGTERM):
            # Without our asking: the machine goes down, and ends every process by itself.
            self._insist(lambda: jobs.release(claim, why or "its process was asked to end"))
        else:
            failure = failure_of_exit(
                status or 0,
                self._last_event,
                for_memory=self._memory.killed,
                batch_size=self._batch_size,
            )
            self._fail(failure)

    def _store_events(self) -> bool:
        """Store the events that are new, in order; False when there are none."""
        events = self._follower.read()
        if not events:
            return False
        self._insist(lambda: self._jobs.record(self._claim, events))
        for event in events:
            if event["kind"] in ("artifact", "picture"):
                self._keep(str(event.get("name")), str(event.get("path")))
            if event["seq"] <= self._job.event_seq:
                continue  # of an earlier attempt
            self._last_event = event
            if event["kind"] == "started":
                self._batch_size = event.get("batch_size", self._batch_size)
                self._advance(State.RUNNING)
            elif event["kind"] == "checkpoint":
                self._keeper.changed()
            elif event["kind"] == "stopped":
                self._stopped = event.get("epoch")
            elif event["kind"] == "evaluating":
                self._advance(State.EVALUATING)
        return True

    def _store_lines(self, lines: Sequence[str]) -> None:
        """Store what came to the run's log, for those who follow it."""
        if not lines:
            return
        first = self._lines + 1
        self._insist(lambda: self._jobs.add_lines(self._claim, first, lines))
        self._lines += len(lines)

    def _advance(self, to: State) -> None:
        """Go on to `to` through the states before it; nothing happens when it is there already."""
        way = (State.STARTING, State.RUNNING, State.EVALUATING)
        for state in way[way.index(self._state) + 1 : way.index(to) + 1]:
            reason = f"its process is {state}"
            self._insist(partial(self._jobs.move, self._claim, state, reason))
            self._state = state

    def _keep_records(self) -> None:
        """Upload what every run leaves, the log with no path of this server in it."""
        for name in RECORDS:
            if (self._run_dir / name).exists():
                self._keep(name, name)
        shown = self._run_dir / f"shown-{LOG}"
        shown.write_text(self._hidden((self._run_dir / LOG).read_text(errors="replace")))
        self._keep(LOG, shown.name)

    def _keep(self, name: str, path: str) -> None:
        """Upload a file of the run folder, unless the store has just this one already."""
        file = self._run_dir / checked_key(path)
        if not file.resolve().is_relative_to(self._run_dir.resolve()):
            raise ArtifactUnusable(f"artifact {name!r} is not in the run folder")
        if not file.is_file():
            log.warning("job %s: %s is gone before it was stored", self._claim.job_id, path)
            return
        known = {a.name: a.sha256 for a in self._insist(lambda: self._jobs.artifacts(self._job.id))}
        if known.get(name) == digest(file)[0]:
            return
        stored = self._stores.artifacts.put(file, f"jobs/{self._job.id}/{checked_key(name)}")
        self._insist(
            lambda: self._jobs.add_artifact(
                self._claim, name, stored.key, stored.bytes, stored.sha256
            )
        )

    def _fail(self, failure: Failure) -> None:
        try:
            self._keep_records()
        except Exception:  # each kind of store has its own errors; why the job failed comes first
            log.exception("job %s: its log is not stored", self._claim.job_id)
        lines = self._log_tail()
        message = self._hidden(failure.message)
        self._insist(lambda: self._jobs.fail(self._claim, failure.reason, message, lines))

    def _log_tail(self) -> list[str]:
        path = self._run_dir / LOG
        if not path.exists():
            return []
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LOG_BYTES))
            text = file.read().decode(errors="replace")
        return self._hidden(text).splitlines()[-_LOG_LINES:]

    def _hidden(self, text: str) -> str:
        settings = self._settings
        program = Path(__file__).parent.parent
        folders = [self._run_dir, settings.runs_dir, settings.data_dir, settings.home]
        return hidden(text, [*folders, program, Path(sys.prefix), Path(sys.base_prefix)])

    def _insist(self, write: Callable[[], T]) -> T:
        """Do what the database may be away for; while it is, nobody else can have the job.

        Raises LeaseLost.
        """
        while True:
            try:
                return write()
            except (OperationalError, InterfaceError) as error:
                log.warning("job %s: the database is away: %s", self._claim.job_id, error)
                if self._draining.is_set():
                    raise
                time.sleep(_RETRY_S)


def _environment() -> dict[str, str]:
    """The child's: without our passwords, and with every line in the log before it is killed."""
    kept = {name: value for name, value in os.environ.items() if name not in _SECRET}
    return kept | {"PYTHONUNBUFFERED": "1"}

"""What must hold after any fault: the one checker of every case.

It believes no single record: the job's history, the stream that its followers got, the run's own
events, its metrics, the registry and the artifact store must all tell the same story.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from installation import Fault, Installation
from twin import Twin, comparable, history_of

from worker.store import State
from worker.store.events import JobEvent, events_after
from worker.store.tables import ACTIVE, FINAL, FOLLOWS, Job, Transition

_MANY: Final = 1_000_000


@dataclass
class Verdict:
    """What became of a case's jobs."""

    jobs: int = 0
    lost: list[str] = field(default_factory=list)
    """Not where they should be, or without what they should have left."""
    doubled: list[str] = field(default_factory=list)
    """Done by two at once, or twice."""
    wrong: list[str] = field(default_factory=list)
    """Whatever else does not fit."""
    take_over_s: float | None = None
    """The longest from a fault to the claim of a job that it stopped; of several the first one's,
    since the others wait their turn."""

    @property
    def faults(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.wrong]


def judge(
    installation: Installation,
    expected: Mapping[str, State],
    *,
    twin: Twin | None = None,
    steady_clock: bool = True,
) -> Verdict:
    """Of jobs that have ended; `leftovers` looks for the rest once the installation is closed.

    expected: the state of each by its id. twin: what trainings without a fault found.
    steady_clock: whether the times in a run's own events rise.
    """
    verdict = Verdict(jobs=len(expected))
    taken: dict[Fault, float] = {}
    for job_id, state in expected.items():
        job = installation.job(job_id)
        steps = installation.stores.jobs.history(job_id)
        stream = events_after(installation.stores.database, job_id, 0, _MANY)
        run = run_events(installation, job_id)
        if job.state != state:
            verdict.lost.append(f"{job_id} is {job.state}, not {state}: {job.error}")
        verdict.lost += _products(installation, job)
        verdict.doubled += [*_attempts(job, steps), *_writers(job, run, steady_clock)]
        verdict.wrong += [*_history(job, steps), *_stream(job, steps, stream)]
        verdict.wrong += _followed(installation, job)
        verdict.wrong += [*_lost_work(job, run), *_metrics(installation, job, stream)]
        if twin is not None and state == State.SUCCEEDED:
            verdict.wrong += _differences(installation, job, twin)
        for fault, seconds in _taken_over(installation, steps):
            taken[fault] = min(seconds, taken.get(fault, seconds))
    verdict.take_over_s = max(taken.values(), default=None)
    return verdict


def leftovers(installation: Installation) -> list[str]:
    """Processes and temporary files that are still there after all was stopped."""
    orphans = [f"process {one} is left" for one in installation.orphans()]
    return orphans + [f"file {name} is left" for name in installation.temporary_files()]


def run_events(installation: Installation, job_id: str) -> list[dict[str, Any]]:
    """What the children themselves wrote, in the order of the file, on the last of its hosts."""
    folders = [installation.settings.runs_dir, *installation.other_runs]
    files = [path for f in folders if (path := f / job_id / "events.jsonl").exists()]
    if not files:
        return []
    newest = max(files, key=lambda path: path.stat().st_mtime)
    return [json.loads(line) for line in newest.read_text().splitlines()]


def _history(job: Job, steps: Sequence[Transition]) -> Iterator[str]:
    """Every step follows the one before by the table of states."""
    if not steps or (steps[0].old, steps[0].new) != (None, State.QUEUED):
        yield f"{job.id} was not posted: {steps[:1]}"
    for before, after in pairwise(steps):
        if after.old != before.new or after.new not in FOLLOWS[before.new]:
            yield f"{job.id} went from {before.new} to {after.new} (told: from {after.old})"
    if steps and steps[-1].new != job.state:
        yield f"{job.id} is {job.state}, its history ends with {steps[-1].new}"


def _attempts(job: Job, steps: Sequence[Transition]) -> Iterator[str]:
    """One attempt begins after the one before has ended, and each was one worker's."""
    claims = [step for step in steps if step.new == State.STARTING]
    if [step.attempt for step in claims] != list(range(1, job.attempt + 1)):
        yield f"{job.id} was claimed as attempts {[step.attempt for step in claims]}"
    for claim in claims:
        ours = [step for step in steps if step.attempt == claim.attempt and step.new in ACTIVE]
        if {step.worker for step in ours} != {claim.worker}:
            yield f"{job.id}: attempt {claim.attempt} was by {[s.worker for s in ours]}"
    ends = {s.attempt: s.at for s in steps if s.old in ACTIVE and s.new not in ACTIVE}
    for claim in claims[1:]:
        if ends.get(claim.attempt - 1, math.inf) > claim.at:
            yield f"{job.id}: attempt {claim.attempt} began before the one before had ended"


def _writers(job: Job, run: Sequence[Mapping[str, Any]], steady_clock: bool) -> Iterator[str]:
    """Two children in one run folder would both count on from the same number."""
    seqs = [event["seq"] for event in run]
    if seqs != list(range(seqs[0] if seqs else 1, (seqs[0] if seqs else 1) + len(seqs))):
        yield f"{job.id}: its children numbered their events {seqs}"
    times = [event["time"] for event in run]
    if steady_clock and times != sorted(times):
        yield f"{job.id}: two children wrote at once, by the times of their events"
    for kind in ("started", "evaluating"):
        if sum(event["kind"] == kind for event in run) > job.attempt:
            yield f"{job.id}: {kind} more often than its {job.attempt} attempts"
    finished = [event for event in run if event["kind"] == "finished"]
    if len(finished) > 1 + sum(_in_between(run, finished)):
        yield f"{job.id}: it was finished {len(finished)} times"


def _in_between(
    run: Sequence[Mapping[str, Any]], finished: Sequence[Mapping[str, Any]]
) -> Iterator[bool]:
    """A worker that is killed after its child has finished has the next one finish again."""
    for event in finished[:-1]:
        yield any(later["seq"] > event["seq"] and later["kind"] == "started" for later in run)


def _stream(job: Job, steps: Sequence[Transition], stream: Sequence[JobEvent]) -> Iterator[str]:
    """Numbered without a gap; its steps are the history's, its log lines and epochs are whole."""
    if [event.seq for event in stream] != list(range(1, job.stream_seq + 1)):
        yield f"{job.id}: stored events are numbered {[event.seq for event in stream]}"
    told = [(event.data["new"], event.data["attempt"]) for event in stream if event.kind == "state"]
    if told != [(step.new, step.attempt) for step in steps]:
        yield f"{job.id}: followers were told of {told}, the history has other steps"
    line = 1
    for event in stream:
        if event.kind == "log":
            if event.line != line:
                yield f"{job.id}: line {event.line} of the log follows line {line - 1}"
            line += len(event.data["lines"])
    if line != job.log_lines + 1:
        yield f"{job.id}: {line - 1} lines of the log were told, {job.log_lines} counted"


def _followed(installation: Installation, job: Job) -> Iterator[str]:
    """Whoever followed the job over the API has every event once, whatever broke in between."""
    seqs = installation.followed(job.id)
    if seqs is not None and seqs != list(range(1, job.stream_seq + 1)):
        yield f"{job.id}: its follower got the events {seqs} of {job.stream_seq}"


def _metrics(installation: Installation, job: Job, stream: Sequence[JobEvent]) -> Iterator[str]:
    history = installation.stores.jobs.metrics(job)["history"]
    told = [event.data["epoch"] for event in stream if event.kind == "metrics"]
    for what, epochs in (("kept", [entry["epoch"] for entry in history]), ("told", told)):
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"{job.id}: the epochs {epochs} were {what}"
    wanted = job.resolved.get("training", {}).get("epochs")
    if job.state == State.SUCCEEDED and wanted and len(history) != wanted:
        yield f"{job.id}: {len(history)} epochs of {wanted} are kept"


def _lost_work(job: Job, run: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Each attempt goes on from the last checkpoint that was told of before, or from a later one;
    so no more epochs are done again than lie between."""
    saved = 0
    for event in run:
        if event["kind"] == "checkpoint":
            saved = event["epoch"]
        elif event["kind"] == "started" and event.get("epoch", saved) < saved:
            yield f"{job.id}: epoch {saved} was saved, it went on from {event['epoch']}"


def _products(installation: Installation, job: Job) -> Iterator[str]:
    """A job that ended well has its files, whole, and exactly one version of its model."""
    if job.state not in FINAL:
        return
    artifacts = installation.stores.jobs.artifacts(job.id)
    for artifact in artifacts:
        with installation.stores.artifacts.open(artifact.key) as file:
            if len(file.read()) != artifact.bytes:
                yield f"{job.id}: {artifact.name} is not whole"
    if job.state != State.SUCCEEDED or job.kind != "distill":
        return
    names = {artifact.name for artifact in artifacts}
    if missing := {"metrics.json", "manifest.json", "log.txt", "best.pt", "curves.png"} - names:
        yield f"{job.id}: {missing} were not stored"
    models = installation.stores.registry.models()
    versions = [v for model in models for v in model.versions if v.job_id == job.id]
    if len(versions) != 1:
        yield f"{job.id}: {len(versions)} versions were registered"


def _differences(installation: Installation, job: Job, twin: Twin) -> Iterator[str]:
    history = history_of(installation.stores.jobs.metrics(job)["history"])
    if history != twin.history:
        yield f"{job.id}: its epochs are not those of its undisturbed twin"
    if comparable(job.result or {}) != twin.result:
        yield f"{job.id}: its final metrics are not those of its undisturbed twin"


def _taken_over(
    installation: Installation, steps: Sequence[Transition]
) -> Iterator[tuple[Fault, float]]:
    """Faults that hit an attempt's worker, or everybody, and the seconds to the next claim."""
    claims = [step for step in steps if step.new == State.STARTING]
    waited = {step.attempt: step for step in steps if step.new == State.QUEUED}
    for before, claim in pairwise(claims):
        if waited[before.attempt].reason.startswith("resumed"):
            continue  # it waited for a person
        hits = [
            fault
            for fault in installation.faults
            if fault.worker in (None, before.worker) and before.at <= fault.at <= claim.at
        ]
        yield from ((fault, claim.at - fault.at) for fault in hits[-1:])

"""A run: a folder with the resolved config, what happened, the checkpoints and the result.

config.yaml  manifest.json  events.jsonl  checkpoints/{last,best}.pt
metrics.json  curves.png  predictions.png  students/<branch>.onnx  students/<branch>.receipt.json
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from model.config import Config
from model.data.mixture import Mixture, open_mixture, skeleton_of
from model.data.packing import Pack, blurred, pack
from model.errors import CheckpointUnusable, ConfigError, Fault
from model.training.events import EVENTS, FINISH, EventLog, Listener, Silence
from model.training.fit import Fit
from model.training.outcome.validation import Valid
from model.training.parallel.group import Group
from model.training.parallel.launch import Order, launch
from model.training.parallel.processes import joined, under_torchrun
from model.training.start.begin import BEST, LAST
from model.training.start.inherit import begin
from model.training.start.manifest import describe
from model.training.start.people import open_people
from model.training.start.sizing import settle
from model.training.state.session import Session
from model.training.trackers import tracked


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `stopped` may be resumed, `finished` has its results."""

    state: Literal["finished", "stopped"]
    metrics: dict[str, Any]


def train(
    config: Config,
    run_dir: Path,
    *,
    resume: bool = False,
    stop: Callable[[], bool] = lambda: False,
    device: str = "auto",
    cache: Path | None = None,
    listen: Listener | None = None,
) -> Outcome:
    """Train, evaluate, export; or go on with all that from the last checkpoint.

    stop: asked before every step; when True a checkpoint is saved and the outcome is `stopped`.
    A file `finish` in the run folder ends the training as well, as soon as an epoch has been
    evaluated; the outcome is then `finished`, and the file is taken away.
    device: `auto`, `cpu` or a CUDA device. cache: where packs of cut-out people are kept; without
    one they stay in memory. listen: called with every event.

    With `training.devices` above 1 this process starts so many and waits for them; where torchrun
    started this one, it is one of them already, and rank 0 alone writes and tells.

    Raises ConfigError (the folder holds another run), DatasetError, CheckpointUnusable,
    TrainingDiverged, DiskFull, ProcessLost.
    """
    if config.training.devices > 1 and not under_torchrun():
        outcome: Outcome = launch(Order(config, run_dir, resume, device, cache), stop, listen)
        return outcome
    with joined(config, device) as (group, own):
        group.same(lambda: _claim_folder(run_dir, resume))
        with _opened(config, run_dir, listen, group) as log:
            return _train(config, run_dir, log, stop, own, cache, group)


def _train(
    config: Config,
    run_dir: Path,
    log: EventLog,
    stop: Callable[[], bool],
    device: torch.device,
    cache: Path | None,
    group: Group,
) -> Outcome:
    skeleton = skeleton_of(config.data.skeleton, config.data.train)
    people = open_people(config, skeleton)
    judged_on = open_mixture(config.data.valid, skeleton)
    session = Session(config, skeleton, device)
    session.progress.data = people.learnt
    session.progress.valid = judged_on.fingerprint
    if group.same((run_dir / LAST).exists):
        session.restore(run_dir / LAST, group)
        if not group.same((run_dir / BEST).exists):  # a lone checkpoint was gone on with
            session.progress.forget_best()
    elif config.training.init is not None:
        begun = begin(session, people.people)
        session.progress.init = begun.as_json()
        log.write("log", level="info", message=str(begun))
    if group.leads:
        describe(session, run_dir, people, judged_on)
    if people.weighing is not None:
        weighed = ", ".join(people.weighing.sets)
        log.write("log", level="info", message=f"labels are weighed of {weighed}")
    packed = _cut_out(people, config, cache, group, log)
    notes = [*session.notes, *settle(session, packed, group)]
    for note in notes:
        log.write("log", level="info", message=note)
    fit = Fit(
        session,
        people,
        packed,
        Valid(judged_on, config, group),
        run_dir=run_dir,
        log=log,
        stop=stop,
        group=group,
    )
    if not fit.run():
        return Outcome("stopped", {})
    if not group.leads:
        return Outcome("finished", {})
    from model.training.outcome.finish import finish  # the exporter is slow to import

    log.write("evaluating")
    metrics = finish(run_dir, session.progress, device, log)
    (run_dir / FINISH).unlink(missing_ok=True)
    log.write("finished", metrics=metrics)
    return Outcome("finished", metrics)


def _cut_out(
    people: Mixture, config: Config, cache: Path | None, group: Group, log: EventLog
) -> Pack:
    """Everybody to learn from; on one machine the first process cuts them out for the others."""
    data = config.data
    log.write("log", level="info", message=f"cutting out {len(people.people)} people")
    if told := blurred(people.people, data.crop_px, data.padding):
        log.write("log", level="warning", message=told)

    def packed() -> Pack:
        return pack(
            people.people,
            data.crop_px,
            data.padding,
            fingerprint=people.fingerprint,
            cache=cache,
            mode=config.training.cache,
        )

    return packed() if cache is None else group.in_turn(packed)


@contextmanager
def _opened(
    config: Config, run_dir: Path, listen: Listener | None, group: Group
) -> Iterator[EventLog]:
    """Where this process tells what happens: the first one, to everybody who listens."""
    if not group.leads:
        yield Silence()
        return
    with tracked(config, run_dir, listen) as told:
        log = EventLog(run_dir / EVENTS, told)
        try:
            yield log
        finally:
            log.close()


def _claim_folder(run_dir: Path, resume: bool) -> None:
    events = run_dir / EVENTS
    # One that was refused before its first event, for its teacher or its data, holds nothing.
    if not resume and events.exists() and events.stat().st_size:
        raise ConfigError(
            [Fault("out", f"{run_dir} already holds a run", "another folder, or resume it")]
        )
    if resume and not run_dir.exists():
        raise CheckpointUnusable(f"{run_dir} does not exist: there is nothing to resume")
    run_dir.mkdir(parents=True, exist_ok=True)

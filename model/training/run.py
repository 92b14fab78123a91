"""A run: a folder with the resolved config, what happened, the checkpoints and the result.

config.yaml  manifest.json  events.jsonl  checkpoints/{last,best}.pt
metrics.json  curves.png  predictions.png  students/<branch>.onnx  students/<branch>.receipt.json
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from model.config import Config
from model.data.mixture import open_mixture, skeleton_of
from model.data.packing import exact_crops, pack
from model.errors import CheckpointUnusable, ConfigError, Fault
from model.training.begin import BEST, LAST
from model.training.devices import leave_a_core, pick_device
from model.training.events import EVENTS, EventLog, Listener
from model.training.fit import Valid, fit
from model.training.inherit import begin
from model.training.manifest import describe
from model.training.people import open_people
from model.training.session import Session
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
    device: `auto`, `cpu` or a CUDA device. cache: where packs of cut-out people are kept; without
    one they stay in memory. listen: called with every event.

    Raises ConfigError (the folder holds another run), DatasetError, CheckpointUnusable,
    TrainingDiverged.
    """
    _claim_folder(run_dir, resume)
    leave_a_core()
    with tracked(config, run_dir, listen) as told:
        log = EventLog(run_dir / EVENTS, told)
        try:
            return _train(config, run_dir, log, stop, pick_device(device), cache)
        finally:
            log.close()


def _train(
    config: Config,
    run_dir: Path,
    log: EventLog,
    stop: Callable[[], bool],
    device: torch.device,
    cache: Path | None,
) -> Outcome:
    skeleton = skeleton_of(config.data.skeleton, config.data.train)
    people = open_people(config, skeleton)
    judged_on = open_mixture(config.data.valid, skeleton)
    session = Session(config, skeleton, device)
    session.progress.data = people.learnt
    session.progress.valid = judged_on.fingerprint
    if (run_dir / LAST).exists():
        session.restore(run_dir / LAST)
        if not (run_dir / BEST).exists():  # a lone checkpoint was gone on with
            session.progress.forget_best()
    elif config.training.init is not None:
        begun = begin(session, people.people)
        session.progress.init = begun.as_json()
        log.write("log", level="info", message=str(begun))
    describe(session, run_dir, people, judged_on)
    if people.weighing is not None:
        weighed = ", ".join(people.weighing.sets)
        log.write("log", level="info", message=f"labels are weighed of {weighed}")
    log.write("log", level="info", message=f"cutting out {len(people.people)} people")
    packed = pack(
        people.people,
        config.data.crop_px,
        config.data.padding,
        fingerprint=people.fingerprint,
        cache=cache,
    )
    valid = Valid(
        judged_on.as_set(),
        *exact_crops(judged_on.people, config.data.crop_px, config.data.padding),
    )

    stopped = fit(session, people, packed, valid, run_dir, log, stop)
    if stopped:
        return Outcome("stopped", {})
    from model.training.finish import finish  # the exporter is slow to import

    log.write("evaluating")
    metrics = finish(run_dir, session.progress, device, log)
    log.write("finished", metrics=metrics)
    return Outcome("finished", metrics)


def _claim_folder(run_dir: Path, resume: bool) -> None:
    if (run_dir / EVENTS).exists() and not resume:
        raise ConfigError(
            [Fault("out", f"{run_dir} already holds a run", "another folder, or resume it")]
        )
    if resume and not run_dir.exists():
        raise CheckpointUnusable(f"{run_dir} does not exist: there is nothing to resume")
    run_dir.mkdir(parents=True, exist_ok=True)

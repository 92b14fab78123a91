"""A run: a folder with the resolved config, what happened, the checkpoints and the result.

config.yaml  manifest.json  events.jsonl  checkpoints/{last,best}.pt
metrics.json  curves.png  predictions.png  students/<branch>.onnx  students/<branch>.receipt.json
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from model.config import Config
from model.data.mixture import Mixture, open_mixture, skeleton_of
from model.data.packing import Pack, exact_crops, pack
from model.data.readers import LabelledSet
from model.errors import CheckpointUnusable, ConfigError, Fault
from model.evaluation import measure, on_images, summary
from model.geometry import Crops
from model.training.events import EventLog, Listener
from model.training.inherit import begin
from model.training.judge import keypoints
from model.training.learner import ENSEMBLE
from model.training.loop import Loop
from model.training.manifest import describe
from model.training.people import open_people
from model.training.session import Session
from model.training.trackers import tracked

LAST: Final = "checkpoints/last.pt"
BEST: Final = "checkpoints/best.pt"


@dataclass(frozen=True)
class Outcome:
    """How a training ended: `stopped` may be resumed, `finished` has its results."""

    state: Literal["finished", "stopped"]
    metrics: dict[str, Any]


@dataclass(frozen=True)
class Valid:
    """The validation people, cut out as serving would."""

    labelled: LabelledSet
    crops: NDArray[np.uint8]  # [P, H, W, 3]
    ways: Crops


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
        log = EventLog(run_dir / "events.jsonl", told)
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

    stopped = _fit(session, people, packed, valid, run_dir, log, stop)
    if stopped:
        return Outcome("stopped", {})
    from model.training.finish import finish  # the exporter is slow to import

    log.write("evaluating")
    metrics = finish(run_dir, session.progress, device, log)
    log.write("finished", metrics=metrics)
    return Outcome("finished", metrics)


def _fit(
    session: Session,
    people: Mixture,
    packed: Pack,
    valid: Valid,
    run_dir: Path,
    log: EventLog,
    stop: Callable[[], bool],
) -> bool:
    """All epochs that are left; whether it was stopped before their end."""
    progress = session.progress
    training = session.config.training

    def checkpoint() -> None:
        session.save(run_dir / LAST)
        log.write("checkpoint", path=LAST, epoch=len(progress.history))

    loop = Loop(
        session,
        packed,
        stop=stop,
        report=lambda values: log.write("progress", **values),
        checkpoint=checkpoint,
        name=lambda row: people.people[row].image.name,
    )
    log.write(
        "started",
        device=str(session.device),
        amp=str(session.amp_dtype).removeprefix("torch."),
        epoch=len(progress.history),
        epochs=training.epochs,
        steps_per_epoch=loop.steps_per_epoch,
        train_people=len(packed),
        valid_people=len(valid.ways),
        parameters=sum(p.numel() for p in session.learner.parameters()),
    )
    if _stale(session):
        return False
    for entry in loop.epochs():
        last = entry["epoch"] == training.epochs
        if last or entry["epoch"] % session.config.evaluation.every_epochs == 0:
            entry |= _judge(session, valid, entry["epoch"], run_dir / BEST)
        progress.history.append(entry)
        log.write("epoch", **entry)
        checkpoint()
        if _stale(session):
            log.write("log", level="info", message="no better score for long: stopped early")
            return False
    if loop.stopped:
        checkpoint()
    return loop.stopped


def _judge(session: Session, valid: Valid, epoch: int, best: Path) -> dict[str, Any]:
    """Every branch and the ensemble on the validation people; a better branch is kept in `best`."""
    config, progress = session.config, session.progress
    found = keypoints(session.judged, valid.crops, config, session.skeleton, flip_test=False)
    scores = {
        name: summary(
            measure(
                on_images(points, valid.ways), session.skeleton, valid.labelled, intervals=False
            )
        )
        for name, points in found.items()
    }
    metric = config.evaluation.metric
    branches = {name: values for name, values in scores.items() if name != ENSEMBLE}
    if any(metric not in values for values in branches.values()):
        known = ", ".join(next(iter(branches.values())))
        raise ConfigError(
            [Fault("evaluation.metric", f"the validation people give no {metric}", known)]
        )
    name = max(branches, key=lambda b: branches[b][metric])
    if progress.best_score is None or branches[name][metric] > progress.best_score:
        progress.best_score, progress.best_epoch = branches[name][metric], epoch
        progress.best_branch = name
        session.save_judged(best)
    return {"branches": branches, "ensemble": scores[ENSEMBLE]}


def leave_a_core() -> None:
    """Fewer threads than cores, where there are two or more; fewer still are left as they are.

    torch's threads wait for each other at every layer: where anything else wants the last core,
    all of them crawl. On two cores with one other process busy, two threads made 15 images a
    second and one made 184 (`tiny` at 96 pixels).
    """
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(min(torch.get_num_threads(), max(1, cores - 1)))


def pick_device(name: str) -> torch.device:
    """`auto` is the first CUDA device that answers, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or (device.type == "cuda" and not torch.cuda.is_available()):
        raise ConfigError([Fault("device", f"{name!r} is not to be had here", "auto, cpu, cuda:0")])
    return device


def _stale(session: Session) -> bool:
    """Whether early stopping is due."""
    patience, progress = session.config.training.early_stop_epochs, session.progress
    return bool(patience) and len(progress.history) - progress.best_epoch >= patience


def _claim_folder(run_dir: Path, resume: bool) -> None:
    if (run_dir / "events.jsonl").exists() and not resume:
        raise ConfigError(
            [Fault("out", f"{run_dir} already holds a run", "another folder, or resume it")]
        )
    if resume and not run_dir.exists():
        raise CheckpointUnusable(f"{run_dir} does not exist: there is nothing to resume")
    run_dir.mkdir(parents=True, exist_ok=True)

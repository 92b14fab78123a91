"""From the first epoch to the last: train, judge, keep the best, save; and when it is over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.mixture import Mixture
from model.data.packing import Pack
from model.data.readers import LabelledSet
from model.errors import ConfigError, Fault
from model.evaluation import measure, on_images, summary
from model.geometry import Crops
from model.training.begin import BEST, LAST
from model.training.events import EventLog
from model.training.judge import keypoints
from model.training.learner import ENSEMBLE
from model.training.loop import Loop
from model.training.session import Session


@dataclass(frozen=True)
class Valid:
    """The validation people, cut out as serving would."""

    labelled: LabelledSet
    crops: NDArray[np.uint8]  # [P, H, W, 3]
    ways: Crops


def fit(
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


def _stale(session: Session) -> bool:
    """Whether early stopping is due."""
    patience, progress = session.config.training.early_stop_epochs, session.progress
    return bool(patience) and len(progress.history) - progress.best_epoch >= patience

"""After the last epoch: the full evaluation, the exported students, the pictures.

Everything is made again from `best.pt` when a run that was killed here is resumed.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from PIL import Image

from model.config import Config
from model.data.mixture import in_skeleton, open_source
from model.data.readers import LabelledSet
from model.evidence import latencies
from model.files import replaced, write_json
from model.pictures import comparison, curves
from model.predictor import Card, Predictor
from model.receipt import beside, read_receipt, with_latency, write_receipt
from model.skeletons import Skeleton
from model.training.events import EventLog
from model.training.outcome.ship import Examined, examine, kept_map, score_map, ship
from model.training.outcome.trained import METRICS, checkpoint_facts, open_run
from model.training.parallel.devices import device_name
from model.training.start.begin import BEST
from model.training.state.progress import Progress

PICTURED: Final = 12


def evaluate_run(
    run_dir: Path, labelled: LabelledSet, *, flip_test: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Every branch and the ensemble of a run on a set. Raises CheckpointUnusable, DatasetError."""
    run = open_run(run_dir, torch.device(device))
    return examine(run, labelled, flip_test=flip_test).result


def finish(
    run_dir: Path, progress: Progress, device: torch.device, log: EventLog
) -> dict[str, Any]:
    """Writes metrics.json, students/, curves.png and predictions.png; returns the metrics."""
    run = open_run(run_dir, device)
    evaluation = run.config.evaluation
    examined = [
        examine(run, open_source(source), flip_test=evaluation.flip_test)
        for source in run.config.data.valid
    ]
    metrics: dict[str, Any] = {
        "checkpoint": checkpoint_facts(run_dir / BEST),
        "best": {
            "branch": progress.best_branch,
            "epoch": progress.best_epoch,
            "metric": evaluation.metric,
            "score": progress.best_score,
        },
        "training": {**asdict(progress.spent), "device": device_name(device)},
        "valid": {set_.exam.labelled.name: set_.result for set_ in examined},
        "students": {},
    }
    students = {
        branch: run_dir / "students" / f"{branch}.onnx"
        for branch in chosen_branches(run.config, progress.best_branch)
    }
    maps = {branch: score_map(run, branch, examined) for branch in run.learner.network.names}
    # Of every branch, so that one which is exported later answers with probabilities as well.
    metrics["calibration"] = {b: m.to_json() for b, m in maps.items() if m is not None}
    receipts = {
        branch: ship(run, branch, examined, path, scores=maps[branch], chosen_on=True)
        for branch, path in students.items()
    }
    timed = latencies(list(students.values()))
    for (branch, path), latency in zip(students.items(), timed, strict=True):
        receipt = beside(path)
        write_receipt(receipt, with_latency(receipts[branch], latency))
        metrics["students"][branch] = {
            "file": path.name,
            "bytes": path.stat().st_size,
            "receipt": receipt.name,
        }
        for name in (path.name, receipt.name):
            log.write("artifact", name=name, path=f"students/{name}")
    log.write("artifact", name="best.pt", path=BEST)

    curves(progress.history, run_dir / "curves.png")
    picture = _picture(examined[0], run.skeleton, progress.best_branch)
    with replaced(run_dir / "predictions.png") as file:
        picture.save(file, "PNG")
    for name in ("curves.png", "predictions.png"):
        log.write("picture", name=name, path=name)
    write_json(run_dir / METRICS, metrics)
    return metrics


def export_branch(run_dir: Path, branch: str, path: Path) -> Card:
    """Any branch of a finished or stopped run as an ONNX file, with its receipt beside it.

    The receipt is the run's own where it shipped the same file; else it tells what the run has
    found of the branch, and the latency here. Raises CheckpointUnusable.
    """
    run = open_run(run_dir, torch.device("cpu"))
    receipt = ship(run, branch, [], path, scores=kept_map(run, branch), chosen_on=True)
    own = beside(run_dir / "students" / f"{branch}.onnx")
    if own.exists() and (shipped := read_receipt(own)).file == receipt.file:
        receipt = shipped
    else:
        receipt = with_latency(receipt, latencies([path])[0])
    write_receipt(beside(path), receipt)
    return Predictor(path).card


def chosen_branches(config: Config, best: str) -> tuple[str, ...]:
    """The branches that `export.branch` asks for."""
    wanted = config.export.branch
    if wanted == "all":
        return config.network.branch_names
    return (best if wanted == "best" else wanted,)


def _picture(set_: Examined, skeleton: Skeleton, branch: str) -> Image.Image:
    """The first people of the set: truth beside the branch's answer."""
    people = in_skeleton(set_.exam.labelled, skeleton)[:PICTURED]
    rows = []
    for person, crop, way, found in zip(
        people, set_.exam.crops, set_.exam.ways, set_.plain[branch], strict=False
    ):
        truth = person.joints_img.astype(np.float64)
        truth[:, :2] = way.from_image(truth[:, :2])
        rows.append((Image.fromarray(crop), truth, found.astype(np.float64)))
    return comparison(rows, skeleton)

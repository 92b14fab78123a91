"""After the last epoch: the full evaluation, the exported students, the pictures.

Everything is made again from `best.pt` when a run that was killed here is resumed.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from model.config import Config
from model.data.mixture import in_skeleton, open_source
from model.data.packing import exact_crops
from model.data.readers import LabelledSet
from model.evaluation import measure, on_images, protocol, summary
from model.export import export_student, parity
from model.files import replaced, write_json
from model.geometry import Crops
from model.pictures import comparison, curves
from model.predictor import Card, Predictor
from model.skeletons import Skeleton
from model.training.checkpoints import load_judged
from model.training.events import EventLog
from model.training.judge import keypoints
from model.training.learner import Learner
from model.training.progress import Progress

PICTURED = 12


@dataclass(frozen=True)
class Examined:
    """One validation set, cut out, with what PyTorch says of it."""

    labelled: LabelledSet
    crops: NDArray[np.uint8]
    ways: Crops
    plain: dict[str, NDArray[np.float32]]  # by branch, without flip test
    result: dict[str, Any]  # metrics by branch and ensemble, and the protocol


def evaluate_run(
    run_dir: Path, labelled: LabelledSet, *, flip_test: bool = False, device: str = "cpu"
) -> dict[str, Any]:
    """Every branch and the ensemble of a run on a set. Raises CheckpointUnusable, DatasetError."""
    config, skeleton, learner = load_judged(
        run_dir / "checkpoints" / "best.pt", torch.device(device)
    )
    return _examine(config, skeleton, learner, labelled, flip_test=flip_test).result


def finish(
    run_dir: Path, best: Path, progress: Progress, device: torch.device, log: EventLog
) -> dict[str, Any]:
    """Writes metrics.json, students/, curves.png and predictions.png; returns the metrics."""
    config, skeleton, learner = load_judged(best, device)
    flip_test = config.evaluation.flip_test
    examined = [
        _examine(config, skeleton, learner, open_source(source), flip_test=flip_test)
        for source in config.data.valid
    ]
    metrics: dict[str, Any] = {
        "best": {
            "branch": progress.best_branch,
            "epoch": progress.best_epoch,
            "metric": config.evaluation.metric,
            "score": progress.best_score,
        },
        "valid": {set_.labelled.name: set_.result for set_ in examined},
        "students": {},
    }
    for branch in chosen_branches(config, progress.best_branch):
        metrics["students"][branch] = _ship(
            run_dir, branch, config, skeleton, learner, progress, examined
        )
        log.write("artifact", name=f"{branch}.onnx", path=f"students/{branch}.onnx")
        log.write("artifact", name=f"{branch}.parity.json", path=f"students/{branch}.parity.json")

    curves(progress.history, run_dir / "curves.png")
    picture = _picture(examined[0], skeleton, progress.best_branch)
    with replaced(run_dir / "predictions.png") as file:
        picture.save(file, "PNG")
    for name in ("curves.png", "predictions.png"):
        log.write("picture", name=name, path=name)
    write_json(run_dir / "metrics.json", metrics)
    return metrics


def export_branch(run_dir: Path, branch: str, path: Path) -> Card:
    """Any branch of a finished or stopped run as an ONNX file. Raises CheckpointUnusable."""
    config, skeleton, learner = load_judged(
        run_dir / "checkpoints" / "best.pt", torch.device("cpu")
    )
    index = learner.network.names.index(branch)
    card = _card(run_dir.name, branch, config, skeleton, {})
    export_student(learner.network.cut(index), config, skeleton, card, path)
    return card


def chosen_branches(config: Config, best: str) -> tuple[str, ...]:
    """The branches that `export.branch` asks for."""
    wanted = config.export.branch
    if wanted == "all":
        return config.network.branch_names
    return (best if wanted == "best" else wanted,)


def _examine(
    config: Config, skeleton: Skeleton, learner: Learner, labelled: LabelledSet, *, flip_test: bool
) -> Examined:
    crops, ways = exact_crops(labelled.people, config.data.crop_px, config.data.padding)
    plain = keypoints(learner, crops, config, skeleton, flip_test=False)
    judged = keypoints(learner, crops, config, skeleton, flip_test=True) if flip_test else plain
    result: dict[str, Any] = {
        name: measure(on_images(points, ways), skeleton, labelled)
        for name, points in judged.items()
    }
    result["protocol"] = protocol(
        skeleton,
        labelled,
        crop_px=list(config.data.crop_px),
        padding=config.data.padding,
        flip_test=flip_test,
        decoder=config.evaluation.decoder,
    )
    return Examined(labelled, crops, ways, plain, result)


def _ship(
    run_dir: Path,
    branch: str,
    config: Config,
    skeleton: Skeleton,
    learner: Learner,
    progress: Progress,
    examined: list[Examined],
) -> dict[str, Any]:
    """One branch's file, held to PyTorch on all validation people through the code that serves."""
    path = run_dir / "students" / f"{branch}.onnx"
    index = learner.network.names.index(branch)
    scores = {s.labelled.name: summary(s.result[branch]) for s in examined}
    card = _card(run_dir.name, branch, config, skeleton, scores)
    export_student(learner.network.cut(index), config, skeleton, card, path)
    predictor = Predictor(path)
    report: dict[str, Any] = {"file": path.name, "bytes": path.stat().st_size, "parity": {}}
    for set_ in examined:
        found, distance = parity(predictor, set_.crops, set_.plain[branch])
        before, after = (
            summary(measure(on_images(points, set_.ways), skeleton, set_.labelled))
            for points in (set_.plain[branch], found)
        )
        change = {name: round(after[name] - before[name], 4) for name in before}
        report["parity"][set_.labelled.name] = {**distance, "metric_change": change}
    write_json(path.with_suffix(".parity.json"), report["parity"])
    return report


def _card(
    run: str, branch: str, config: Config, skeleton: Skeleton, metrics: dict[str, Any]
) -> Card:
    return Card(
        branch=branch,
        skeleton=skeleton,
        size=config.data.crop_px,
        padding=config.data.padding,
        run=run,
        data=tuple(
            # the folder's own name, without the path that names somebody's disk
            f"{s.path.name if s.path else s.format}" + (f":{s.split}" if s.split else "")
            for s in config.data.train
        ),
        licence=config.export.licence,
        metrics=metrics,
    )


def _picture(set_: Examined, skeleton: Skeleton, branch: str) -> Image.Image:
    """The first people of the set: truth beside the branch's answer."""
    people = in_skeleton(set_.labelled, skeleton)[:PICTURED]
    rows = []
    for person, crop, way, found in zip(
        people, set_.crops, set_.ways, set_.plain[branch], strict=False
    ):
        truth = person.joints_img.astype(np.float64)
        truth[:, :2] = way.from_image(truth[:, :2])
        rows.append((Image.fromarray(crop), truth, found.astype(np.float64)))
    return comparison(rows, skeleton)

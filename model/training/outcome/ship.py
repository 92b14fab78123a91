"""A branch as it leaves its run: the ONNX file, held to PyTorch, and the receipt beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from model import receipt as receipts
from model.calibration import ScoreMap, fitted, seen
from model.calibration_file import map_of
from model.data.readers import LabelledSet
from model.errors import CheckpointUnusable
from model.evaluation import measure, on_images, protocol, summary
from model.evidence import Exam, figures, prepared, sat, sat_with
from model.export import export_student, parity
from model.network.cost import student_cost
from model.onnx_file import contents_of
from model.predictor import Card, Predictor
from model.provenance import code_licence
from model.receipt import (
    NOT_MEASURED,
    Accuracy,
    CostFacts,
    Data,
    Licence,
    Made,
    Parity,
    Receipt,
)
from model.skeletons import Skeleton
from model.training.outcome.judge import keypoints
from model.training.outcome.trained import Trained, open_run, sources_of


@dataclass(frozen=True)
class Examined:
    """A set with what PyTorch says of it.

    plain: by branch and ensemble, `[P, K, 3]` in crop pixels, without flip test.
    result: metrics by branch and ensemble, and the protocol.
    """

    exam: Exam
    plain: dict[str, NDArray[np.float32]]
    result: dict[str, Any]


def examine(run: Trained, labelled: LabelledSet, *, flip_test: bool) -> Examined:
    """Every branch and the ensemble on a set. Raises DatasetError."""
    config, skeleton = run.config, run.skeleton
    exam = prepared(labelled, config.data.crop_px, config.data.padding)
    plain = _plain(run, exam)
    judged = plain
    if flip_test:
        judged = keypoints(run.learner, exam.crops, config, skeleton, flip_test=True)
    result: dict[str, Any] = {
        name: measure(on_images(points, exam.ways), skeleton, labelled)
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
    return Examined(exam, plain, result)


def score_map(run: Trained, branch: str, examined: Sequence[Examined]) -> ScoreMap | None:
    """What makes the branch's scores probabilities, and tells of visibility, fitted on what it was
    validated on.

    None where there is too little to fit on.
    """
    told = [
        seen(on_images(set_.plain[branch], set_.exam.ways), run.skeleton, set_.exam.labelled)
        for set_ in examined
    ]
    return fitted([of for of in told if of is not None], len(run.skeleton))


def kept_map(run: Trained, branch: str) -> ScoreMap | None:
    """The same as it was found when the run finished; None where it has not."""
    found = run.metrics.get("calibration", {}).get(branch)
    return None if found is None else ScoreMap.from_json(found)


def ship(
    run: Trained,
    branch: str,
    examined: Sequence[Examined],
    path: Path,
    *,
    scores: ScoreMap | None,
    chosen_on: bool,
) -> Receipt:
    """Write the branch's file; its receipt, but for what takes a quiet machine: the latency.

    scores: the map that the file gets (`score_map`, `kept_map`).

    examined: the sets that it is held to PyTorch on, through the code that serves; of none the
    receipt tells what was found when the run finished. chosen_on: whether epoch and branch were
    chosen on them.
    """
    index = run.learner.network.names.index(branch)
    metrics = {s.exam.labelled.name: summary(s.result[branch]) for s in examined}
    card = card_of(run, branch, metrics or _scores(run, branch), scores)
    student = run.learner.network.cut(index)
    export_student(student, run.config, run.skeleton, card, path, scores)
    predictor = Predictor(path)
    parities, accuracy, calibration = [], [], []
    for set_ in examined:
        exam, flip_test = set_.exam, bool(set_.result["protocol"]["flip_test"])
        found, held = _held(predictor, exam, set_.plain[branch], run.skeleton, scores)
        parities.append(held)
        answers = (
            sat(predictor, exam, flip_test=True)
            if flip_test
            else sat_with(predictor, exam, found, flip_test=False)
        )
        accuracy.append(answers.accuracy(chosen_on=chosen_on))
        calibration.append(answers.calibration())
    told = tuple(c for c in calibration if c is not None)
    return Receipt(
        name=run.config.export.name,
        branch=branch,
        run=run.name,
        file=contents_of(path).facts(),
        cost=_cost(run, index),
        gain=NOT_MEASURED,
        parity=tuple(parities) or NOT_MEASURED,
        accuracy=tuple(accuracy) or _found_when_finished(run, branch) or NOT_MEASURED,
        calibration=told or NOT_MEASURED,
        latency=NOT_MEASURED,
        score_map=None if scores is None else receipts.ScoreMap.model_validate(scores.told),
        data=Data(train=sources_of(run, "train"), valid=sources_of(run, "valid")),
        licences=tuple(licences_of(run)),
        config=run.told.model_dump(mode="json"),
        made=_made(run),
    )


def parity_of(run_dir: Path, path: Path, exams: Sequence[Exam]) -> tuple[Parity, ...]:
    """A file held to the run that it came from, on every set. Raises CheckpointUnusable."""
    if not exams:
        return ()
    run, predictor = open_run(run_dir, torch.device("cpu")), Predictor(path)
    branch = predictor.card.branch
    if branch not in run.learner.network.names:
        raise CheckpointUnusable(f"{run_dir.name} has no branch {branch}: {path.name} is not of it")
    scores = map_of(path)
    return tuple(
        _held(predictor, exam, _plain(run, exam)[branch], run.skeleton, scores)[1] for exam in exams
    )


def card_of(
    run: Trained, branch: str, metrics: dict[str, Any], scores: ScoreMap | None = None
) -> Card:
    """What the file says of itself. metrics: by set."""
    return Card(
        branch=branch,
        skeleton=run.skeleton,
        size=run.config.data.crop_px,
        padding=run.config.data.padding,
        run=run.name,
        data=tuple(source.name for source in sources_of(run, "train")),
        licence=run.config.export.licence,
        metrics=metrics,
        calibration=None if scores is None else scores.told,
    )


def _plain(run: Trained, exam: Exam) -> dict[str, NDArray[np.float32]]:
    return keypoints(run.learner, exam.crops, run.config, run.skeleton, flip_test=False)


def _held(
    predictor: Predictor,
    exam: Exam,
    reference: NDArray[np.float32],
    skeleton: Skeleton,
    scores: ScoreMap | None,
) -> tuple[NDArray[np.float32], Parity]:
    """The file's answers `[P, K, 3]`, and how far they are from the network's.

    scores: the map that the file has and the network has not.
    """
    if scores is not None:
        reference = scores.applied(reference)
    found, distance = parity(predictor, exam.crops, reference)
    before, after = (
        summary(measure(on_images(points, exam.ways), skeleton, exam.labelled, intervals=False))
        for points in (reference, found)
    )
    change = {name: round(after[name] - before[name], 4) for name in before}
    return found, Parity(data=exam.labelled.name, metric_change=change, **distance)


def _cost(run: Trained, index: int) -> CostFacts:
    crop_px = run.config.data.crop_px
    cost = student_cost(run.learner.network, index, crop_px)
    return CostFacts(crop_px=crop_px, parameters=cost.parameters, macs=cost.macs)


def _scores(run: Trained, branch: str) -> dict[str, Any]:
    """A branch's numbers by set, as they were found when the run finished."""
    valid = run.metrics.get("valid", {})
    return {name: summary(result[branch]) for name, result in valid.items()}


def _found_when_finished(run: Trained, branch: str) -> tuple[Accuracy, ...]:
    """The same with intervals, for a receipt that is written without the photographs."""
    valid = {source.name: source for source in sources_of(run, "valid")}
    return tuple(
        Accuracy(
            data=name,
            people=result[branch]["people"],
            fingerprint=valid[name].fingerprint or "",
            flip_test=result["protocol"]["flip_test"],
            chosen_on=True,
            answered_by="PyTorch",
            metrics=figures(result[branch]),
        )
        for name, result in run.metrics.get("valid", {}).items()
    )


def licences_of(run: Trained) -> list[Licence]:
    """The chain: what this student is made of, and what its owner says of it."""
    chain = [Licence(of="code", terms=code_licence())]
    terms = {source.name: source.terms for source in sources_of(run, "train")}
    chain += [Licence(of=f"data {name}", terms=of) for name, of in terms.items()]
    manifest = run.manifest or {}
    init, teacher = manifest.get("init"), manifest.get("teacher")
    if init:
        learnt = ", ".join(init["data"])
        chain.append(
            Licence(of=f"initial weights: {init['run']}, of {learnt}", terms=init["licence"])
        )
    if teacher:
        chain.append(Licence(of=f"teacher: {teacher['sha256'][:12]}", terms=teacher["licence"]))
    chain.append(Licence(of="this student, as its owner states", terms=run.config.export.licence))
    return chain


def _made(run: Trained) -> Made:
    manifest = run.manifest or {}
    command = manifest.get("command")
    return Made(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        code=manifest.get("code"),
        command=None if command is None else tuple(command),
        python=manifest.get("python"),
        packages=manifest.get("packages"),
    )

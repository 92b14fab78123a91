"""The map from scores to probabilities inside an exported student, so that every client has it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from model.calibration import EDGE, FEWEST, ScoreMap, fitted, seen
from model.errors import DatasetError
from model.evidence import Exam, sat
from model.files import write_with
from model.predictor import METADATA_KEY, Predictor

PREFIX: Final = "calibration."
SLOPE: Final = f"{PREFIX}slope"
OFFSET: Final = f"{PREFIX}offset"
OUTPUT: Final = "keypoints"


def put_map(graph: Any, scores: ScoreMap) -> None:
    """Add the map to a student's graph (`onnx.ModelProto`); points stay as they are, to the bit.

    Where the graph has a map already, `scores` is of what that one tells, and both become one.
    """
    there = {w.name: w for w in graph.graph.initializer if w.name in (SLOPE, OFFSET)}
    slope, offset = (values[:, None] for values in (scores.slope, scores.offset))  # [K, 1]
    if there:
        first = {name: numpy_helper.to_array(weight) for name, weight in there.items()}
        offset = slope * first[OFFSET] + offset
        slope = slope * first[SLOPE]
        for name, values in ((SLOPE, slope), (OFFSET, offset)):
            there[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
        return
    _rename_output(graph)
    constants: dict[str, NDArray[Any]] = {
        SLOPE: slope,
        OFFSET: offset,
        f"{PREFIX}low": np.array(EDGE, np.float32),
        f"{PREFIX}high": np.array(1 - EDGE, np.float32),
        f"{PREFIX}one": np.array(1, np.float32),
        f"{PREFIX}sizes": np.array([2, 1], np.int64),
    }
    for name, value in constants.items():
        graph.graph.initializer.append(numpy_helper.from_array(value, name))

    def node(kind: str, takes: list[str], gives: list[str], **how: Any) -> None:
        names = [PREFIX + name for name in takes]
        outputs = [OUTPUT if name == OUTPUT else PREFIX + name for name in gives]
        graph.graph.node.append(helper.make_node(kind, names, outputs, **how))

    node("Split", ["raw", "sizes"], ["points", "score"], axis=2)
    node("Clip", ["score", "low", "high"], ["held"])
    node("Sub", ["one", "held"], ["rest"])
    node("Div", ["held", "rest"], ["odds"])
    node("Log", ["odds"], ["logit"])
    node("Mul", ["logit", "slope"], ["scaled"])
    node("Add", ["scaled", "offset"], ["moved"])
    node("Sigmoid", ["moved"], ["probability"])
    node("Concat", ["points", "probability"], [OUTPUT], axis=2)


def calibrate_file(path: Path, exams: Sequence[Exam], target: Path) -> dict[str, Any]:
    """Write a student's file again with a map that is fitted on its answers to these people.

    Returns what the card then tells of it. Raises ModelUnusable, DatasetError where the people are
    too few or have nothing to measure a tolerance in.
    """
    predictor = Predictor(path)
    card = predictor.card
    answered = [sat(predictor, exam, flip_test=False) for exam in exams]
    told = [seen(of.keypoints_img, of.skeleton, of.exam.labelled) for of in answered]
    scores = fitted([of for of in told if of is not None], len(card.skeleton))
    if scores is None:
        names = ", ".join(exam.labelled.name for exam in exams) or "no set"
        raise DatasetError(names, None, f"calibration takes at least {FEWEST} labelled joints")
    graph = onnx.load(path)
    put_map(graph, scores)
    for entry in graph.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = replace(card, calibration=scores.told).to_json()
    onnx.checker.check_model(graph)
    write_with(target, lambda file: file.write(graph.SerializeToString()))
    return scores.told


def map_of(path: Path) -> ScoreMap | None:
    """The map in a student's file, if it has one; `told` is left empty."""
    there = {
        w.name: numpy_helper.to_array(w)[:, 0]
        for w in onnx.load(path).graph.initializer
        if w.name in (SLOPE, OFFSET)
    }
    return ScoreMap(there[SLOPE], there[OFFSET], {}) if there else None


def _rename_output(graph: Any) -> None:
    """What was the output becomes the map's input."""
    for node in graph.graph.node:
        for i, name in enumerate(node.output):
            if name == OUTPUT:
                node.output[i] = f"{PREFIX}raw"
        for i, name in enumerate(node.input):
            if name == OUTPUT:
                node.input[i] = f"{PREFIX}raw"

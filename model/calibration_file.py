"""The maps from scores to probabilities inside an exported student, so that every client has them.

That to being seen gives the file a second output, `visible` float32 `[N, K]`: NaN for a joint of
which nothing is known.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from model.calibration import EDGE, FEWEST, Platt, ScoreMap, fitted, seen
from model.errors import DatasetError
from model.evidence import Exam, sat
from model.files import write_with
from model.predictor import KEYPOINTS, METADATA_KEY, VISIBLE, Card, Predictor

PREFIX: Final = "calibration."
_FOUND: Final = PREFIX
_SEEN: Final = f"{PREFIX}visible."
"""What the weights' names of each map begin with."""


def put_map(graph: Any, scores: ScoreMap) -> None:
    """Add the maps to a student's graph (`onnx.ModelProto`); points stay as they are, to the bit.

    Where the graph has a map already, `scores` is of what that one tells, and both become one. What
    it tells of visibility stays where `scores` tells nothing of it.
    """
    first, visible = _platt_in(graph, _FOUND), scores.visible
    if first is None:
        _add_found(graph, scores.found)
    else:
        _set(graph, _FOUND, scores.found.after(first))
        visible = visible and visible.after(first)
    if visible is None:
        return
    if _platt_in(graph, _SEEN) is None:
        _add_visible(graph, visible)
    else:
        _set(graph, _SEEN, visible)


def _add_found(graph: Any, found: Platt) -> None:
    """The decoder's score becomes a probability in the output that is there."""
    _rename_output(graph)
    constants: dict[str, NDArray[Any]] = {
        "low": np.array(EDGE, np.float32),
        "high": np.array(1 - EDGE, np.float32),
        "one": np.array(1, np.float32),
        "sizes": np.array([2, 1], np.int64),
    }
    for name, value in constants.items():
        graph.graph.initializer.append(numpy_helper.from_array(value, PREFIX + name))
    _add_platt(graph, _FOUND, found)
    _node(graph, "Split", ["raw", "sizes"], ["points", "score"], axis=2)
    _node(graph, "Clip", ["score", "low", "high"], ["held"])
    _node(graph, "Sub", ["one", "held"], ["rest"])
    _node(graph, "Div", ["held", "rest"], ["odds"])
    _node(graph, "Log", ["odds"], ["logit"])
    _node(graph, "Mul", ["logit", "slope"], ["scaled"])
    _node(graph, "Add", ["scaled", "offset"], ["moved"])
    _node(graph, "Sigmoid", ["moved"], ["probability"])
    _node(graph, "Concat", ["points", "probability"], [KEYPOINTS], axis=2)


def _add_visible(graph: Any, visible: Platt) -> None:
    """A second output, of the same logit."""
    _add_platt(graph, _SEEN, visible)
    axis = numpy_helper.from_array(np.array([2], np.int64), f"{_SEEN}axis")
    graph.graph.initializer.append(axis)
    _node(graph, "Mul", ["logit", "visible.slope"], ["visible.scaled"])
    _node(graph, "Add", ["visible.scaled", "visible.offset"], ["visible.moved"])
    _node(graph, "Sigmoid", ["visible.moved"], ["visible.probability"])
    _node(graph, "Squeeze", ["visible.probability", "visible.axis"], [VISIBLE])
    N = next(o for o in graph.graph.output if o.name == KEYPOINTS).type.tensor_type.shape.dim[0]
    shape = [N.dim_param or "N", len(visible.slope)]
    graph.graph.output.append(helper.make_tensor_value_info(VISIBLE, TensorProto.FLOAT, shape))


def _node(graph: Any, kind: str, takes: list[str], gives: list[str], **how: Any) -> None:
    names = [PREFIX + name for name in takes]
    outputs = [name if name in (KEYPOINTS, VISIBLE) else PREFIX + name for name in gives]
    graph.graph.node.append(helper.make_node(kind, names, outputs, **how))


def _platt_in(graph: Any, prefix: str) -> Platt | None:
    """One of a graph's maps, if it has it."""
    names = [f"{prefix}slope", f"{prefix}offset"]
    there = {w.name: w for w in graph.graph.initializer if w.name in names}
    return Platt(*(numpy_helper.to_array(there[n])[:, 0] for n in names)) if there else None


def _add_platt(graph: Any, prefix: str, platt: Platt) -> None:
    for name in ("slope", "offset"):
        graph.graph.initializer.append(onnx.TensorProto(name=prefix + name))
    _set(graph, prefix, platt)


def _set(graph: Any, prefix: str, platt: Platt) -> None:
    """Gives a map that is there other numbers, `[K, 1]`."""
    values = {f"{prefix}slope": platt.slope, f"{prefix}offset": platt.offset}
    for weight in graph.graph.initializer:
        if weight.name in values:
            column = values[weight.name][:, None].astype(np.float32)
            weight.CopyFrom(numpy_helper.from_array(column, weight.name))


def calibrate_file(path: Path, exams: Sequence[Exam], target: Path) -> dict[str, Any]:
    """Write a student's file again with maps that are fitted on its answers to these people.

    Returns what the card then tells of them. Raises ModelUnusable, DatasetError where the people
    are too few or have nothing to measure a tolerance in.
    """
    predictor = Predictor(path)
    card = predictor.card
    answered = [sat(predictor, exam, flip_test=False) for exam in exams]
    sets = [seen(of.keypoints_img, of.skeleton, of.exam.labelled) for of in answered]
    scores = fitted([of for of in sets if of is not None], len(card.skeleton))
    if scores is None:
        names = ", ".join(exam.labelled.name for exam in exams) or "no set"
        raise DatasetError(names, None, f"calibration takes at least {FEWEST} labelled joints")
    graph = onnx.load(path)
    put_map(graph, scores)
    told = _told(scores, card)
    for entry in graph.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = replace(card, calibration=told).to_json()
    onnx.checker.check_model(graph)
    write_with(target, lambda file: file.write(graph.SerializeToString()))
    return told


def map_of(path: Path) -> ScoreMap | None:
    """The maps in a student's file, if it has them; `told` is left empty."""
    graph = onnx.load(path)
    found = _platt_in(graph, _FOUND)
    return None if found is None else ScoreMap(found, {}, _platt_in(graph, _SEEN))


def _told(scores: ScoreMap, card: Card) -> dict[str, Any]:
    """With what the file told of visibility before, where it goes on doing so."""
    if scores.visible is not None or not card.tells_visible:
        return scores.told
    assert card.calibration is not None
    return {**scores.told, "visible": card.calibration["visible"]}


def _rename_output(graph: Any) -> None:
    """What was the output becomes the map's input."""
    for node in graph.graph.node:
        for i, name in enumerate(node.output):
            if name == KEYPOINTS:
                node.output[i] = f"{PREFIX}raw"
        for i, name in enumerate(node.input):
            if name == KEYPOINTS:
                node.input[i] = f"{PREFIX}raw"

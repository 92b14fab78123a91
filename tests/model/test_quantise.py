"""Students in fewer bits keep their contract and about their answers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.errors import ModelUnusable
from model.precisions import Fewer
from model.predictor import Predictor
from model.quantise import quantised


@pytest.mark.parametrize(("precision", "near_px"), [("fp16", 0.5), ("int8", 4.0)])
def test_fewer_bits_answer_alike(
    finished_run, tmp_path: Path, precision: Fewer, near_px: float
) -> None:
    """uint8 in, float32 out, of the standard's operators alone; the card tells the bits."""
    data, before = finished_run.config.data, finished_run.student("wide")
    people = draw_people(40, seed=3, size_px=150)
    crops, _ = exact_crops(people, data.crop_px, data.padding)
    file = tmp_path / "fewer.onnx"

    quantised(before, precision, crops[:20], file)

    student, whole = Predictor(file), Predictor(before)
    assert student.card == replace(whole.card, precision=precision, metrics={})
    graph = onnx.load(file).graph
    kept = {onnx.helper.tensor_dtype_to_np_dtype(w.data_type).name for w in graph.initializer}
    assert {"fp16": "float16", "int8": "int8"}[precision] in kept
    assert {node.domain for node in graph.node} <= {"", "ai.onnx"}
    assert [entry.domain for entry in onnx.load(file).opset_import] == [""]
    onnx.checker.check_model(onnx.load(file))
    found, expected = student.infer(crops[20:]), whole.infer(crops[20:])
    assert found.dtype == np.float32
    away = np.linalg.norm(found[..., :2] - expected[..., :2], axis=-1)
    assert np.median(away) < near_px
    assert not np.array_equal(found, expected)


def test_another_s_file_is_refused(finished_run, tmp_path: Path) -> None:
    """Where the network is in it is known by the names that our exporter gives."""
    model = onnx.load(finished_run.student("slim"))
    for node in model.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = name.replace("student.", "theirs.")
    for weight in model.graph.initializer:
        weight.name = weight.name.replace("student.", "theirs.")
    (tmp_path / "theirs.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(ModelUnusable, match="has no student in it"):
        quantised(tmp_path / "theirs.onnx", "fp16", None, tmp_path / "fewer.onnx")

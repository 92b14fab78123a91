"""Students in fewer bits keep their contract and about their answers."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest

from model.config import SourceConfig
from model.data.packing import exact_crops
from model.data.synthetic import draw_people
from model.errors import ModelUnusable
from model.evidence import Exam, sat
from model.precisions import Fewer
from model.predictor import BUNDLED, Predictor
from model.quantise import quantised
from model.variants import exam_of


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


@pytest.mark.data
def test_the_bundled_student_keeps_its_accuracy_on_real_people(tmp_path: Path) -> None:
    """Ranges from training people; docs/precisions.md has the figures of the whole sets."""
    folder = Path(__file__).parents[3] / "shared" / "data" / "lsp"
    if not folder.is_dir() or not BUNDLED.is_file():
        pytest.skip("needs the photographs of ../shared/data and the student that ships")
    ranges, judges = (
        exam_of(SourceConfig(format="lsp", path=folder, split=split, people=people), BUNDLED)
        for split, people in (("train", 32), ("valid", 100))
    )
    assert ranges is not None
    assert judges is not None
    found = {}
    for precision in get_args(Fewer):
        file = tmp_path / f"{precision}.onnx"
        quantised(BUNDLED, precision, ranges.crops, file)
        found[precision] = pck_of(file, judges)
    full = pck_of(BUNDLED, judges)

    assert full > 60
    assert found["fp16"] == pytest.approx(full, abs=0.5)
    assert found["int8"] == pytest.approx(full, abs=2.5)


def pck_of(file: Path, exam: Exam) -> float:
    accuracy = sat(Predictor(file), exam, flip_test=False).accuracy(chosen_on=False)
    return accuracy.metrics["pck@0.2"].value

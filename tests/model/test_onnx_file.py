"""What a file holds, told from the file alone."""

from pathlib import Path

import onnx
import pytest
import torch

from model.errors import ModelUnusable
from model.files import sha256_of
from model.network.cost import student_cost
from model.onnx_file import contents_of
from model.training.state.checkpoints import load_judged


def test_the_file_is_counted_as_its_network_is(finished_run) -> None:
    """Two ways that know nothing of each other: the graph, and PyTorch's own counter."""
    best = finished_run.folder / "checkpoints" / "best.pt"
    network = load_judged(best, torch.device("cpu"))[2].network
    for index, branch in enumerate(network.names):
        path = finished_run.student(branch)

        found, cost = contents_of(path), student_cost(network, index, (96, 64))

        assert (found.parameters, found.macs) == (cost.parameters, cost.macs)
        assert (found.sha256, found.bytes) == (sha256_of(path), path.stat().st_size)
        assert (found.opset, found.foreign, found.external) == (18, (), False)
        assert found.numbers > found.parameters * 0.98


def test_foreign_operators_and_weights_elsewhere_are_told(finished_run, tmp_path: Path) -> None:
    """Either would make the file need more than ONNX Runtime and itself."""
    model = onnx.load(finished_run.student("slim"))
    model.graph.node[0].domain = "com.example"
    weight = next(w for w in model.graph.initializer if w.name.endswith(".weight"))
    onnx.external_data_helper.set_external_data(weight, "weights.bin")
    (tmp_path / "odd.onnx").write_bytes(model.SerializeToString())

    found = contents_of(tmp_path / "odd.onnx")

    assert found.foreign == ("com.example",)
    assert found.external


@pytest.mark.parametrize("content", [b"", b"no graph at all", None])
def test_what_is_no_onnx_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """An empty file, another one, none."""
    path = tmp_path / "student.onnx"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ModelUnusable, match=r"^student\.onnx "):
        contents_of(path)

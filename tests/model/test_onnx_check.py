"""Real ONNX files, harmless, harmful and damaged: what is loaded was judged before."""

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data

from model.errors import ModelUnusable
from model.onnx_check import only_computes
from model.predictor import BUNDLED, METADATA_KEY, Card, Predictor
from model.skeletons import MPII16

K = len(MPII16)
Change = Callable[[onnx.ModelProto], object]


@functools.cache
def student() -> bytes:
    """The smallest file that the predictor takes: every joint at the crop's first number."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["pixels", "axes"], ["peak"], keepdims=1),
            helper.make_node("Reshape", ["peak", "cell"], ["one"]),
            helper.make_node("Tile", ["one", "joints"], ["keypoints"]),
        ],
        "student",
        [
            helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 8, 8, 3]),
            helper.make_tensor_value_info("mirrored", TensorProto.INT64, ["F"]),
        ],
        [helper.make_tensor_value_info("keypoints", TensorProto.FLOAT, ["N", K, 3])],
        [
            numpy_helper.from_array(np.array([1, 2, 3]), "axes"),
            numpy_helper.from_array(np.array([-1, 1, 1]), "cell"),
            numpy_helper.from_array(np.array([1, K, 3]), "joints"),
            numpy_helper.from_array(np.array([], np.int64), "mirrored"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    card = Card("a", MPII16, (8, 8), 0.0, "test", ("nothing",), "Apache-2.0")
    helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    return model.SerializeToString()


def changed(change: Change) -> bytes:
    model = onnx.load_model_from_string(student())
    change(model)
    return model.SerializeToString()


def elsewhere(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """The tensor, its numbers in a file of the machine."""
    tensor.raw_data = bytes(8)
    set_external_data(tensor, "../../../../etc/hostname")
    return tensor


def tensor() -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([1, 2, 3]), "t")


def within(model: onnx.ModelProto, node: onnx.NodeProto) -> None:
    """The node, in a branch of an `If` in a branch of an `If`."""
    for _ in range(2):
        body = helper.make_graph([node], "branch", [], [])
        node = helper.make_node("If", ["c"], ["o"], then_branch=body, else_branch=body)
    model.graph.node.append(node)


def constant(value: onnx.TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=value)


def foreign(domain: str = "com.example") -> onnx.NodeProto:
    return helper.make_node("Steal", [], ["s"], domain=domain)


def define(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("own", "Mine", ["a"], ["b"], [node], opsets))


def train(model: onnx.ModelProto) -> None:
    model.training_info.add().algorithm.node.append(foreign())


def sparse() -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(elsewhere(tensor()), tensor(), [9])


@pytest.mark.parametrize(
    "change",
    [
        lambda m: elsewhere(m.graph.initializer[0]),
        lambda m: m.graph.node.append(constant(elsewhere(tensor()))),
        lambda m: within(m, constant(elsewhere(tensor()))),
        lambda m: m.graph.sparse_initializer.append(sparse()),
        lambda m: m.graph.node.append(
            helper.make_node("Constant", [], ["c"], sparse_value=sparse())
        ),
    ],
)
def test_weights_in_other_files_are_refused_wherever_they_stand(
    tmp_path: Path, change: Change
) -> None:
    """ONNX Runtime would read a path that a stranger chose."""
    path = tmp_path / "student.onnx"
    path.write_bytes(changed(change))

    with pytest.raises(ModelUnusable, match=r"^student\.onnx has weights in other files"):
        Predictor(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.graph.node.append(foreign()),
        lambda m: within(m, foreign()),
        train,
    ],
)
def test_operators_of_others_are_refused_wherever_they_stand(
    tmp_path: Path, change: Change
) -> None:
    """They are code that this project neither wrote nor chose."""
    path = tmp_path / "student.onnx"
    path.write_bytes(changed(change))

    with pytest.raises(ModelUnusable, match=r"has an operator of 'com\.example'; accepted are"):
        Predictor(path)


def test_onnx_runtimes_own_extensions_are_foreign_too() -> None:
    """A file must mean the same in every runtime of the standard."""
    with pytest.raises(ModelUnusable, match=r"com\.microsoft"):
        only_computes(changed(lambda m: m.graph.node.append(foreign("com.microsoft"))), "x.onnx")


def test_functions_of_the_files_own_are_refused(tmp_path: Path) -> None:
    """They hide operators from whoever reads the graph, and none of our files has any."""
    with pytest.raises(ModelUnusable, match=r"^x\.onnx defines functions of its own"):
        only_computes(changed(define), "x.onnx")


def test_a_family_that_is_listed_but_not_used_passes(tmp_path: Path) -> None:
    """Quantisers list com.microsoft in every file; the standard's long name is the standard."""

    def change(model: onnx.ModelProto) -> None:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        model.graph.node[0].domain = "ai.onnx"

    path = tmp_path / "student.onnx"
    path.write_bytes(changed(change))

    assert Predictor(path).infer(np.full((2, 8, 8, 3), 7, np.uint8)).max() == 7


def test_the_bundled_student_passes() -> None:
    """By the walker's own count it holds nothing else."""
    only_computes(BUNDLED.read_bytes(), BUNDLED.name)


def test_nothing_is_read_as_onnx_runtimes_own_format(tmp_path: Path) -> None:
    """A file in both languages would be checked in one and loaded in the other."""
    # Bytes 4 to 8 are how ONNX Runtime knows its own; here they lie in the name of the producer.
    path = tmp_path / "student.onnx"
    path.write_bytes(b"\x12\x08abORTMcd" + student())

    assert Predictor(path).card.branch == "a"


def test_a_network_that_answers_for_another_skeleton_is_refused(tmp_path: Path) -> None:
    """Its numbers would be read as joints."""

    def change(model: onnx.ModelProto) -> None:
        model.graph.initializer[2].CopyFrom(numpy_helper.from_array(np.array([1, 5, 3]), "joints"))
        model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 5

    path = tmp_path / "student.onnx"
    path.write_bytes(changed(change))

    with pytest.raises(
        ModelUnusable, match=r"numbers \[1, 5, 3\]; its skeleton needs \[1, 16, 3\]"
    ):
        Predictor(path)


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_files_are_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever a disk or a stranger did to it, the server goes on."""
    content = bytearray(student())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content[:cut])

    try:
        Predictor(path, threads=1)
    except ModelUnusable as error:
        assert str(error).startswith("damaged.onnx ")


@given(
    content=st.one_of(st.binary(max_size=200), st.binary(max_size=40).map(lambda b: b"\x3a" + b))
)
def test_bytes_that_are_anything_are_judged(content: bytes) -> None:
    """The walker's own reading: it ends, and knows one way to say no."""
    try:
        only_computes(content, "x.onnx")
    except ModelUnusable as error:
        assert str(error).startswith("x.onnx ")


def test_a_field_that_ends_after_its_file_is_refused() -> None:
    """An upload that broke off, seen before ONNX Runtime sees it."""
    with pytest.raises(ModelUnusable, match="not a model"):
        only_computes(student()[:-1], "x.onnx")


def test_nesting_without_end_is_refused() -> None:
    """A graph in an attribute of a node of a graph, as deep as the stack."""

    def wrapped(number: int, inner: bytes) -> bytes:
        size, length = len(inner), bytearray()
        while size >= 0x80:
            length.append(size & 0x7F | 0x80)
            size >>= 7
        return bytes([number << 3 | 2, *length, size]) + inner

    content = b""
    for _ in range(2_000):
        content = wrapped(1, wrapped(5, wrapped(6, content)))

    with pytest.raises(ModelUnusable, match="not a model"):
        only_computes(wrapped(7, content), "x.onnx")

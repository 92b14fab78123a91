"""What an exported student's file holds, counted from the file alone.

The other way to `model.network.cost`: neither the network's code nor its configuration is asked.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx

from model.errors import ModelUnusable
from model.receipt import FileFacts

STUDENT: Final = "student."
"""What the exporter calls the network; the decoder's constants have other names."""
_NUMBERS: Final = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.INT8,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.INT32,
)
"""What weights are kept as, quantised biases and zero points included; indices are INT64."""
_CONVERSIONS: Final = ("Cast", "QuantizeLinear", "DequantizeLinear")
"""What stands between the same numbers in other bits."""


@dataclass(frozen=True)
class Contents:
    """opset: of the standard operators. foreign: other families of operators. external: whether
    weights lie in files beside it. numbers: weights in the file. parameters: those that the network
    learnt, as PyTorch counts them. macs: of one crop, as `Cost` counts them.
    """

    sha256: str
    bytes: int
    opset: int
    foreign: tuple[str, ...]
    external: bool
    numbers: int
    parameters: int
    macs: int

    def facts(self) -> FileFacts:
        """What of it a receipt tells."""
        return FileFacts(
            sha256=self.sha256, bytes=self.bytes, opset=self.opset, numbers=self.numbers
        )


def contents_of(path: Path) -> Contents:
    """Of what `model.export` or `model.quantise` wrote.

    Raises ModelUnusable for what is no ONNX file.
    """
    try:
        content = path.read_bytes()
        model = onnx.load_model_from_string(content)
    except OSError as error:
        raise ModelUnusable(f"{path.name} cannot be read ({error.strerror})") from None
    except Exception as error:  # protobuf's
        raise ModelUnusable(f"{path.name} is not an ONNX file") from error
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if "ai.onnx" not in opsets:
        raise ModelUnusable(f"{path.name} is not an ONNX file")
    graph = model.graph
    weights = {w.name: tuple(w.dims) for w in graph.initializer if w.data_type in _NUMBERS}
    layers = list(_layers(graph, weights))
    return Contents(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        opset=opsets["ai.onnx"],
        foreign=tuple(sorted({n.domain for n in graph.node} - {"", "ai.onnx"})),
        external=any(w.data_location == w.EXTERNAL for w in graph.initializer),
        numbers=sum(map(math.prod, weights.values())),
        parameters=sum(_parameters(layers)),
        macs=sum(_macs(graph, layers)),
    )


@dataclass(frozen=True)
class _Layer:
    """A convolution or normalisation of the student, as if no bits had been saved.

    weight: its name as the exporter gave it. takes: names of its inputs. gives: of its output.
    """

    kind: str
    weight: str
    shape: tuple[int, ...]
    takes: tuple[str, ...]
    gives: str


def _layers(graph: Any, weights: dict[str, tuple[int, ...]]) -> Iterator[_Layer]:
    """Every layer, with conversions to and from fewer bits left out between them."""
    made_of = {node.output[0]: node.input[0] for node in graph.node if node.op_type in _CONVERSIONS}

    def origin(name: str) -> str:
        while name in made_of:
            name = made_of[name]
        return name

    for node in graph.node:
        if node.op_type not in ("Conv", "BatchNormalization"):
            continue
        stored = origin(node.input[1])
        if stored.startswith(STUDENT):
            yield _Layer(
                node.op_type,
                stored.removesuffix("_quantized"),
                weights[stored],
                tuple(origin(name).removesuffix("_quantized") for name in node.input),
                node.output[0],
            )


def _parameters(layers: Sequence[_Layer]) -> Iterator[int]:
    """Of each of the student's layers, wherever its numbers stand: equal ones are kept once.

    A convolution without a bias of its own had a normalisation behind it, with a scale and a shift
    a channel, that the exporter has multiplied into it where it is not there any more.
    """
    apart = {layer.takes[0] for layer in layers if layer.kind == "BatchNormalization"}
    for layer in layers:
        if layer.kind == "BatchNormalization":
            yield 2 * math.prod(layer.shape)
            continue
        yield math.prod(layer.shape)
        if f"{layer.weight.removesuffix('.weight')}.bias" in layer.takes:
            yield layer.shape[0]
        elif len(layer.takes) > 2 or layer.gives not in apart:
            yield 2 * layer.shape[0]


def _macs(graph: Any, layers: Sequence[_Layer]) -> Iterator[int]:
    """Of each of the student's convolutions: every output cell is a sum over one filter."""
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in graph.value_info  # the exporter writes them
    }
    for layer in layers:
        if layer.kind == "Conv":
            _, _, h, w = shapes[layer.gives]
            yield math.prod(layer.shape) * h.dim_value * w.dim_value

"""What an exported student's file holds, counted from the file alone.

The other way to `model.network.cost`: neither the network's code nor its configuration is asked.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import onnx

from model.errors import ModelUnusable
from model.receipt import FileFacts

STUDENT: Final = "student."
"""What the exporter calls the network; the decoder's constants have other names."""


@dataclass(frozen=True)
class Contents:
    """opset: of the standard operators. foreign: other families of operators. external: whether
    weights lie in files beside it. numbers: floats in the file. parameters: those that the network
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
    """Of what `model.export` wrote. Raises ModelUnusable for what is no ONNX file."""
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
    weights = {w.name: tuple(w.dims) for w in graph.initializer if w.data_type == w.FLOAT}
    return Contents(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        opset=opsets["ai.onnx"],
        foreign=tuple(sorted({n.domain for n in graph.node} - {"", "ai.onnx"})),
        external=any(w.data_location == w.EXTERNAL for w in graph.initializer),
        numbers=sum(map(math.prod, weights.values())),
        parameters=sum(_parameters(graph, weights)),
        macs=sum(_macs(graph, weights)),
    )


def _parameters(graph: Any, weights: dict[str, tuple[int, ...]]) -> Iterator[int]:
    """Of each of the student's layers, wherever its numbers stand: equal ones are kept once.

    A convolution without a bias of its own had a normalisation behind it, with a scale and a shift
    a channel, that the exporter has multiplied into it.
    """
    apart = {node.input[0] for node in graph.node if node.op_type == "BatchNormalization"}
    for node in graph.node:
        if node.op_type == "BatchNormalization":
            yield 2 * math.prod(weights[node.input[1]])
        elif node.op_type == "Conv" and node.input[1].startswith(STUDENT):
            name, channels = node.input[1], weights[node.input[1]][0]
            yield math.prod(weights[name])
            if f"{name.removesuffix('.weight')}.bias" in node.input:
                yield channels
            elif node.output[0] not in apart:
                yield 2 * channels


def _macs(graph: Any, weights: dict[str, tuple[int, ...]]) -> Iterator[int]:
    """Of each of the student's convolutions: every output cell is a sum over one filter."""
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in graph.value_info  # the exporter writes them
    }
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1].startswith(STUDENT):
            _, _, h, w = shapes[node.output[0]]
            yield math.prod(weights[node.input[1]]) * h.dim_value * w.dim_value

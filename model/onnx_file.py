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

_STATISTICS: Final = (".running_mean", ".running_var")


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
    """Raises ModelUnusable for what is no ONNX file."""
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
        parameters=sum(_parameters(weights)),
        macs=sum(_macs(model, weights)),
    )


def _parameters(weights: dict[str, tuple[int, ...]]) -> Iterator[int]:
    """Of each of the student's weights. A folded normalisation had a scale and a shift a channel.

    The exporter multiplies a normalisation that follows a convolution into it, and leaves one bias
    under a name of its own: `X.weight_bias`.
    """
    for name, shape in weights.items():
        if name.startswith(STUDENT) and not name.endswith(_STATISTICS):
            folded = name.endswith(".weight_bias")
            yield math.prod(shape) * (2 if folded else 1)


def _macs(model: Any, weights: dict[str, tuple[int, ...]]) -> Iterator[int]:
    """Of each of the student's convolutions: every output cell is a sum over one filter."""
    shapes = {
        value.name: value.type.tensor_type.shape.dim
        for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[1].startswith(STUDENT):
            _, _, h, w = shapes[node.output[0]]
            yield math.prod(weights[node.input[1]]) * h.dim_value * w.dim_value

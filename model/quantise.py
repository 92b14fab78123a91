"""A student in fewer bits: the network in fp16 or int8, what stands round it in float32 as before.

int8 is static: QDQ nodes round the convolutions (of the ONNX standard, no operators of our own),
weights by channel, activations by their range on real crops. Normalisation, decoder and the map to
probabilities stay float32, since coordinates need more than eight bits. The contract stays: uint8
in, float32 keypoints out.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from model.files import write_with
from model.onnx_file import STUDENT
from model.predictor import METADATA_KEY, Card

Precision = Literal["fp16", "int8"]
PEOPLE: Final = 128
"""So many crops are enough for the activations' ranges."""
_BATCH: Final = 16


def quantised(path: Path, precision: Precision, crops: NDArray[np.uint8], target: Path) -> None:
    """Write a student's file in fewer bits.

    crops: uint8 `[P, H, W, 3]` of real people, which int8's ranges are taken from.
    """
    with tempfile.TemporaryDirectory() as folder:
        ready, made = (Path(folder) / name for name in ("ready.onnx", "made.onnx"))
        # Normalisations are multiplied into the convolutions before, as the runtime would do.
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        network = list(_network(onnx.load(ready).graph))
        if precision == "int8":
            quantize_static(
                str(ready),
                str(made),
                _Crops(crops),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_quantize=network,
            )
            graph = onnx.load(made)
        else:
            graph = onnx.load(ready)
            rest = [node.name for node in graph.graph.node if node.name not in set(network)]
            graph = convert_float_to_float16(graph, keep_io_types=True, node_block_list=rest)
    for entry in graph.metadata_props:
        if entry.key == METADATA_KEY:
            card = replace(Card.from_json(entry.value), precision=precision)
            entry.value = card.to_json()
    write_with(target, lambda file: file.write(graph.SerializeToString()))


def _network(graph: Any) -> Iterator[str]:
    """Names of the nodes between the first and the last of the network's convolutions."""
    own = [
        i
        for i, node in enumerate(graph.node)
        if node.op_type == "Conv" and node.input[1].startswith(STUDENT)
    ]
    for node in graph.node[own[0] : own[-1] + 1]:
        yield node.name


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """The crops in batches, as the runtime's tools ask for them."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._batches = iter(
            crops[i : i + _BATCH] for i in range(0, min(len(crops), PEOPLE), _BATCH)
        )

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}

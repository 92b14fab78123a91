"""A student in fewer bits: the network in fp16 or int8, what stands round it in float32 as before.

int8 is static: QDQ nodes round the convolutions (of the ONNX standard, no operators of our own),
weights by channel, activations by their range on real crops. Normalisation, decoder and the map to
probabilities stay float32, since coordinates need more than eight bits. The contract stays: uint8
in, float32 keypoints out.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

from model.errors import ModelUnusable
from model.files import write_with
from model.onnx_file import STUDENT
from model.precisions import FULL, Fewer
from model.predictor import METADATA_KEY, Card, Predictor

_BATCH: Final = 16
_WARNING, _ERROR = 2, 3  # of ONNX Runtime


def quantised(path: Path, precision: Fewer, crops: NDArray[np.uint8] | None, target: Path) -> None:
    """Write a student's float32 file in fewer bits. Its card's metrics are no longer told: they
    were the original's.

    crops: uint8 `[P, H, W, 3]` of real people, which int8's ranges are taken from; fp16 takes none.
    Raises ModelUnusable where the file is none of ours, or has fewer bits already.
    """
    card = Predictor(path).card
    if card.precision != FULL:
        raise ModelUnusable(f"{path.name} is {card.precision} already; {precision} takes {FULL}")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        ready, made = (Path(folder) / name for name in ("ready.onnx", "made.onnx"))
        # Normalisations are multiplied into the convolutions before, as the runtime would do.
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
        network = list(_network(onnx.load(ready).graph))
        if not network:
            raise ModelUnusable(f"{path.name} was not exported by okdhp: it has no student in it")
        if precision == "int8":
            if crops is None or not len(crops):
                raise ValueError("int8's ranges are taken from crops")
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
    # The tools list families of operators that the file does not use.
    for family in [entry for entry in graph.opset_import if entry.domain not in ("", "ai.onnx")]:
        graph.opset_import.remove(family)
    ONNXModel(graph).topological_sort()  # the standard demands it; ONNX Runtime alone does not
    put_card(graph, replace(card, precision=precision, metrics={}))
    onnx.checker.check_model(graph)
    write_with(target, lambda file: file.write(graph.SerializeToString()))


def put_card(graph: Any, card: Card) -> None:
    """What a student's graph (`onnx.ModelProto`) says of itself, instead of what it said."""
    for entry in graph.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = card.to_json()


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tools' warnings of what is meant so: normalisations have one scale a channel and
    no second axis, and `mirrored` is an input that may be left out."""

    def told(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Axis 1 is out-of-range")

    onnxruntime.set_default_logger_severity(_ERROR)
    logging.getLogger().addFilter(told)
    try:
        yield
    finally:
        logging.getLogger().removeFilter(told)
        onnxruntime.set_default_logger_severity(_WARNING)


def _network(graph: Any) -> Iterator[str]:
    """Names of the nodes between the first and the last of the network's convolutions."""
    own = [
        i
        for i, node in enumerate(graph.node)
        if node.op_type == "Conv" and node.input[1].startswith(STUDENT)
    ]
    for node in graph.node[own[0] : own[-1] + 1] if own else ():
        yield node.name


class _Crops(CalibrationDataReader):  # type: ignore[misc]
    """The crops in batches, as the runtime's tools ask for them."""

    def __init__(self, crops: NDArray[np.uint8]) -> None:
        self._batches = iter(crops[i : i + _BATCH] for i in range(0, len(crops), _BATCH))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {"image": batch}

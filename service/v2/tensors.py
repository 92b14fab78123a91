"""Tensors of an inference request and of its answer, as JSON and as bytes behind it.

The binary tensor data extension puts tensors row by row, little-endian, behind the JSON, whose
length the header `Inference-Header-Content-Length` tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
from fastapi import Response
from numpy.typing import NDArray
from pydantic import ValidationError

from model.predictor import KEYPOINTS, VISIBLE
from service.errors import TensorInvalid
from service.v2.schemas import InferRequest, InferResponse, InputTensor, OutputTensor

JSON_LENGTH: Final = "Inference-Header-Content-Length"
JSON_BYTES: Final = 4 * 1024**2
"""Numbers as text keep the interpreter from everything else for 10 ms a megabyte."""
IMAGE: Final = "image"


def outputs_of(*, tells_visible: bool) -> tuple[str, ...]:
    """What a model gives. tells_visible: as its card says."""
    return (KEYPOINTS, VISIBLE) if tells_visible else (KEYPOINTS,)


@dataclass(frozen=True)
class Asked:
    """An inference request. crops: uint8 `[n, H, W, 3]`. outputs: the names of those wanted, each
    with whether it is sent as bytes."""

    id: str | None
    crops: NDArray[np.uint8]
    flip_test: bool
    outputs: Mapping[str, bool]


def read_infer(
    body: bytes,
    json_length: str | None,
    size: tuple[int, int],
    *,
    most: int,
    outputs: Sequence[str] = (KEYPOINTS,),
) -> Asked:
    """A request's body for a model that sees crops of size (H, W).

    json_length: the header's text, None where all of the body is JSON. most: crops in a request.
    outputs: what the model gives (`outputs_of`). Raises TensorInvalid.
    """
    end = _json_end(body, json_length)
    if end > JSON_BYTES:
        raise TensorInvalid(
            f"the JSON has {end:,} bytes; accepted: at most {JSON_BYTES:,}; larger tensors come "
            f"as bytes behind it, with {JSON_LENGTH}"
        )
    try:
        request: InferRequest = InferRequest.model_validate_json(body[:end])
    except ValidationError as error:
        raise TensorInvalid(_first(error)) from None
    if [tensor.name for tensor in request.inputs] != [IMAGE]:
        raise TensorInvalid(f"inputs must be the one tensor `{IMAGE}`")
    tensor = request.inputs[0]
    _check_form(tensor, size, most)
    sent = memoryview(body)[end:]
    crops = _from_bytes(tensor, sent) if len(sent) else _from_json(tensor)
    return Asked(
        id=request.id,
        crops=crops,
        flip_test=_flag(request.parameters, "flip_test", "parameters", default=False),
        outputs=_wanted(request, outputs),
    )


def respond(asked: Asked, name: str, version: int, keypoints: NDArray[np.float32]) -> Response:
    """The answer. keypoints: float32 `[n, K, 3]`, `[n, K, 4]` where the model tells `visible`."""
    tensors = {KEYPOINTS: keypoints[..., :3]}
    if keypoints.shape[-1] > 3:
        tensors[VISIBLE] = keypoints[..., 3]
    told = [_output(output, tensors[output], binary) for output, binary in asked.outputs.items()]
    document = InferResponse(
        model_name=name, model_version=str(version), id=asked.id, outputs=[one for one, _ in told]
    )
    head = document.model_dump_json(exclude_none=True).encode()
    if not any(asked.outputs.values()):
        return Response(head, media_type="application/json")
    return Response(
        head + b"".join(data for _, data in told),
        media_type="application/octet-stream",
        headers={JSON_LENGTH: str(len(head))},
    )


def _output(name: str, values: NDArray[np.float32], binary: bool) -> tuple[OutputTensor, bytes]:
    """A tensor, and its bytes behind the JSON."""
    data = values.astype("<f4", copy=False).tobytes() if binary else b""
    tensor = OutputTensor(
        name=name,
        shape=list(values.shape),
        datatype="FP32",
        parameters={"binary_data_size": len(data)} if binary else None,
        data=None if binary else values.ravel().tolist(),
    )
    return tensor, data


def _json_end(body: bytes, json_length: str | None) -> int:
    if json_length is None:
        return len(body)
    if json_length.isascii() and json_length.isdigit() and len(json_length) < 12:
        end = int(json_length)
        if end <= len(body):
            return end
    raise TensorInvalid(
        f"{JSON_LENGTH} is {json_length[:40]!r}; accepted: the JSON's length in bytes, at most "
        f"the body's {len(body):,}"
    )


def _first(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in found["loc"])
    return f"{place}: {found['msg']}" if place else found["msg"]


def _check_form(tensor: InputTensor, size: tuple[int, int], most: int) -> None:
    if tensor.datatype != "UINT8":
        raise TensorInvalid(f"`{IMAGE}` is {tensor.datatype[:40]!r}; accepted: UINT8")
    H, W = size
    if tensor.shape[1:] != [H, W, 3] or not 1 <= tensor.shape[0] <= most:
        found = tensor.shape if len(tensor.shape) < 10 else f"of {len(tensor.shape)} dimensions"
        raise TensorInvalid(
            f"`{IMAGE}` is {found}; accepted: [n, {H}, {W}, 3] with n from 1 to {most}"
        )


def _from_bytes(tensor: InputTensor, sent: memoryview) -> NDArray[np.uint8]:
    if tensor.data is not None:
        raise TensorInvalid(f"`{IMAGE}` has data in the JSON and bytes behind it: one of the two")
    told = tensor.parameters.get("binary_data_size")
    expected = prod(tensor.shape)
    if told is not None and (type(told) is not int or told != expected):
        raise TensorInvalid(f"binary_data_size of `{IMAGE}` is not {expected:,}, its shape's size")
    if told is None or len(sent) != expected:
        raise TensorInvalid(
            f"{len(sent):,} bytes follow the JSON; accepted: the {expected:,} of `{IMAGE}`, with "
            "its binary_data_size"
        )
    return np.frombuffer(sent, np.uint8).reshape(tensor.shape)


def _from_json(tensor: InputTensor) -> NDArray[np.uint8]:
    if tensor.data is None:
        raise TensorInvalid(f"`{IMAGE}` has neither data nor bytes behind the JSON")
    accepted = f"integers from 0 to 255, flat or nested as {tensor.shape}"
    try:
        values = np.asarray(tensor.data)
    except ValueError:  # lists of several lengths, or deeper than an array can be
        raise TensorInvalid(f"data of `{IMAGE}` is ragged; accepted: {accepted}") from None
    if values.dtype.kind != "i" or values.shape not in (tuple(tensor.shape), (prod(tensor.shape),)):
        raise TensorInvalid(
            f"data of `{IMAGE}` is not its shape's {prod(tensor.shape):,} integers; "
            f"accepted: {accepted}"
        )
    if values.min() < 0 or values.max() > 255:
        raise TensorInvalid(f"data of `{IMAGE}` goes beyond a byte; accepted: {accepted}")
    return values.astype(np.uint8).reshape(tensor.shape)


def _wanted(request: InferRequest, outputs: Sequence[str]) -> dict[str, bool]:
    """Outputs that are wanted, all unless the request names some; and whether each goes out as
    bytes: what the output says, else what the request says."""
    default = _flag(request.parameters, "binary_data_output", "parameters", default=False)
    if not request.outputs:
        return dict.fromkeys(outputs, default)
    names = [output.name for output in request.outputs]
    if not set(names) <= set(outputs) or len(set(names)) < len(names):
        only = "the one tensor" if len(outputs) == 1 else "some of the tensors"
        raise TensorInvalid(f"outputs must be {only} {', '.join(f'`{o}`' for o in outputs)}")
    wanted = {}
    for i, output in enumerate(request.outputs):
        where = f"outputs.{i}.parameters"
        if unknown := output.parameters.keys() - {"binary_data"}:
            raise TensorInvalid(f"{where} has {min(unknown)[:40]!r}; accepted: binary_data")
        wanted[output.name] = _flag(output.parameters, "binary_data", where, default=default)
    return wanted


def _flag(parameters: Mapping[str, Any], name: str, where: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise TensorInvalid(f"{where}.{name} is neither true nor false")
    return value

"""Whether an ONNX file is a computation and nothing else, told before ONNX Runtime sees it.

Weights in other files would have the server read paths that a stranger chose, and other families'
operators are other code than ONNX Runtime's own. The serving base has no `onnx`, so the few
messages of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto that matter are walked here, by
https://protobuf.dev/programming-guides/encoding. What is doubtful is refused: where a field comes
twice each is judged, though ONNX Runtime would take the last.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from model.errors import ModelUnusable

_Value = int | memoryview
_VARINT, _LENGTH = 0, 2
_FIXED: Final = {1: 8, 5: 4}  # wire type → bytes
_DEEPEST: Final = 100  # as protobuf's own
_OURS: Final = (b"", b"ai.onnx")

_INSIDE: Final[Mapping[str, Mapping[int, str]]] = {
    "model": {7: "graph", 20: "training"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""The messages that hold nodes or tensors, and under which numbers they hold each other."""


def only_computes(content: bytes, name: str) -> None:
    """Raises ModelUnusable where a model holds more than standard operators and its own weights.

    The operator families that it lists are not judged, since quantisers list some that they do not
    use. name: the file's, for the message.
    """
    graphs = 0
    try:
        for kind, number, value in _walk(memoryview(content), "model", 0):
            match kind, number:
                case "model", 7:
                    graphs += 1
                case "model", 25:
                    raise ModelUnusable(f"{name} defines functions of its own; none are accepted")
                case "node", 7 if isinstance(value, memoryview) and bytes(value) not in _OURS:
                    family = str(value[:60], "utf-8", "replace")
                    raise ModelUnusable(
                        f"{name} has an operator of {family!r}; accepted are ONNX's own alone"
                    )
                case "tensor", 14 if value != 0:  # DEFAULT; any other may be read as EXTERNAL
                    raise ModelUnusable(
                        f"{name} has weights in other files; they must be within it"
                    )
    except _DamagedError:
        graphs = 0
    if graphs != 1:
        raise ModelUnusable(f"{name} is not a model that ONNX Runtime can load")


class _DamagedError(Exception):
    """Bytes that are no protobuf message."""


def _walk(message: memoryview, kind: str, depth: int) -> Iterator[tuple[str, int, _Value]]:
    """Every field of a message and of those within: kind of message, number of field, value."""
    if depth > _DEEPEST:
        raise _DamagedError
    for number, value in _fields(message):
        yield kind, number, value
        inner = _INSIDE[kind].get(number)
        if inner is not None and isinstance(value, memoryview):
            yield from _walk(value, inner, depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, _Value]]:
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 2**29:  # more bits than a tag has: readers differ on what they cut off
            raise _DamagedError
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        size = _FIXED.get(wire)
        if wire == _LENGTH:
            size, at = _varint(message, at)
        if size is None or at + size > len(message):  # groups (3 and 4) are in no ONNX message
            raise _DamagedError
        yield number, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends."""
    number = 0
    for i, byte in enumerate(message[at : at + 10]):
        number |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return number, at + i + 1
    raise _DamagedError

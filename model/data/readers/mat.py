"""The arrays of a MATLAB 5 file (MathWorks, "MAT-File Format", Level 5), as `save -v7` writes it.

Our own reader, for numbers only: SciPy's takes the type numbers of a damaged file for indices of a
table in C, and the whole process dies of it.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_HEAD_BYTES: Final = 128
_MATRIX, _COMPRESSED = 14, 15
_NUMBERS: Final = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_NUMERIC_CLASSES: Final = range(6, 16)  # double, single, int8 … uint64
_COMPLEX: Final = 0x0800
_LARGEST_BYTES: Final = 1 << 29
"""What a compressed array may grow to: a million people take a third of it."""


def read_arrays(data: bytes) -> dict[str, NDArray[Any] | None]:
    """Every variable by its name; None for what holds no real numbers (cells, text, structures).

    Raises ValueError saying what is wrong with the bytes, or zlib.error.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEAD_BYTES])
    if order is None:
        raise ValueError("it does not begin as a MATLAB 5 file")
    (version,) = struct.unpack(order + "H", data[124:126])
    if version == 0x0200:
        raise ValueError("it is of MATLAB 7.3; save it with -v7 or older")
    variables = {}
    for kind, body in _elements(memoryview(data)[_HEAD_BYTES:], order):
        if kind == _COMPRESSED:
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(body, _LARGEST_BYTES)
            if unpacker.unconsumed_tail:
                raise ValueError(f"an array is larger than {_LARGEST_BYTES:,} bytes")
            kind, body = next(_elements(memoryview(content), order), (0, body))
        if kind != _MATRIX:
            raise ValueError(f"it holds an element of type {kind} where a variable should be")
        name, array = _variable(body, order)
        variables[name] = array
    return variables


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Type and content of one element after the other."""
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("it ends in the middle of an element")
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # a small element: its content stands within the tag
            kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        else:
            start = at + 8
            # all but compressed elements are filled up to eight bytes
            after = start + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > min(after, len(data)):
            raise ValueError("it ends in the middle of an element")
        yield kind, data[start : start + size]
        at = after


def _variable(body: memoryview, order: str) -> tuple[str, NDArray[Any] | None]:
    parts = list(islice(_elements(body, order), 4))
    if [kind for kind, _ in parts[:3]] != [6, 5, 1] or len(parts[0][1]) != 8:
        raise ValueError("a variable does not begin with its class, size and name")
    (_, flags), (_, dimensions), (_, letters) = parts[:3]
    (flag,) = struct.unpack_from(order + "I", flags)
    name = bytes(letters).decode("ascii", "replace")
    if name and not name.isidentifier():
        raise ValueError("a variable has no readable name")
    if flag & 0xFF not in _NUMERIC_CLASSES or flag & _COMPLEX:
        return name, None
    if len(parts) < 4 or parts[3][0] not in _NUMBERS:
        raise ValueError(f"the numbers of {name} are missing or of an unknown type")
    kind, content = parts[3]
    shape = np.frombuffer(dimensions, order + "i4").tolist()
    values = np.frombuffer(content, order + _NUMBERS[kind])
    if min(shape, default=-1) < 0 or math.prod(shape) != values.size:
        raise ValueError(f"{name} has {values.size} numbers for the shape {shape}")
    return name, values.reshape(shape, order="F")

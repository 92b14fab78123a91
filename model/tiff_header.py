"""How many pieces a TIFF is made of, by its first directory alone."""

import struct
from typing import Final

_OFFSETS: Final = (273, 324)
"""StripOffsets and TileOffsets (TIFF 6.0): a place for every piece."""


def pieces(data: bytes) -> int:
    """The strips or tiles that a TIFF or BigTIFF tells of; 0 for bytes that are neither.

    A decoder of Python makes an object of each before it looks at any.
    """
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return 0
    try:
        big = 43 in data[2:4]
        (at,) = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)
        entries = struct.Struct(f"{order}{'HHQQ' if big else 'HHII'}")
        count = struct.Struct(f"{order}{'Q' if big else 'H'}")
        (rows,) = count.unpack_from(data, at)
        first = at + count.size
        whole = min(rows, (len(data) - first) // entries.size)
        listed = entries.iter_unpack(data[first : first + max(whole, 0) * entries.size])
        return max((values for tag, _, values, _ in listed if tag in _OFFSETS), default=0)
    except struct.error:  # cut short: Pillow will say so
        return 0

"""Photographs that show the same: by their bytes, or nearly, by how they look.

A 64-bit difference hash (Krawetz, "Kind of Like That", 2013) finds candidates; hashes of flat
pictures meet by chance, so a candidate's grey values must agree as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FARTHEST_BITS: Final = 10
LEAST_CORRELATION: Final = 0.9
"""With these, of LSP, LSPET and MPII only copies, and frames of one film, are paired: every pair
was looked at."""

_SIDE: Final = 8
_GREYS: Final = 16
_AT_ONCE: Final = 1 << 24


@dataclass(frozen=True)
class Look:
    """sha256: of the file's bytes, hex. hash: 64 bits, whether it gets brighter from a cell to the
    next one in its row. greys: uint8 `[256]`, a thumbnail.
    """

    sha256: str
    hash: int
    greys: NDArray[np.uint8]

    @classmethod
    def of(cls, image: Image.Image, sha256: str) -> "Look":
        """Of an upright RGB picture."""
        grey = image.convert("L")
        cells = grey.resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
        rows = np.asarray(cells, np.int16)
        bits = np.packbits(rows[:, 1:] > rows[:, :-1])
        thumbnail = grey.resize((_GREYS, _GREYS), Image.Resampling.BOX)
        return cls(sha256, int.from_bytes(bits.tobytes(), "big"), np.asarray(thumbnail).ravel())


@dataclass(frozen=True)
class Copy:
    """Two photographs that show the same, each (split, name). bits, correlation: how nearly."""

    first: tuple[str, str]
    second: tuple[str, str]
    same_bytes: bool
    bits: int
    correlation: float


def copies(splits: Mapping[str, Mapping[str, Look]]) -> list[Copy]:
    """Pairs across splits, the likest first: whoever is in both is learnt and measured on.

    splits: of each split its photographs by name.
    """
    found = []
    for one, other in combinations(splits, 2):
        found += _between(one, splits[one], other, splits[other])
    return sorted(found, key=lambda copy: (not copy.same_bytes, -copy.correlation, copy.first))


def _between(
    one: str, looks: Mapping[str, Look], other: str, others: Mapping[str, Look]
) -> list[Copy]:
    names, other_names = list(looks), list(others)
    hashes, other_hashes = _hashes(looks.values()), _hashes(others.values())
    found = []
    step = max(1, _AT_ONCE // max(len(other_names), 1))
    for at in range(0, len(names), step):
        bits = np.bitwise_count(hashes[at : at + step, None] ^ other_hashes)
        for i, j in np.argwhere(bits <= FARTHEST_BITS).tolist():
            name, other_name = names[at + i], other_names[j]
            a, b = looks[name], others[other_name]
            same, correlation = a.sha256 == b.sha256, _correlation(a.greys, b.greys)
            if same or correlation >= LEAST_CORRELATION:
                copy = Copy((one, name), (other, other_name), same, int(bits[i, j]), correlation)
                found.append(copy)
    return found


def _hashes(looks: Iterable[Look]) -> NDArray[np.uint64]:
    return np.array([look.hash for look in looks], np.uint64)


def _correlation(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Of grey values, whatever the light; 0 where a picture is of one grey."""
    x, y = (greys.astype(np.float64) - greys.mean() for greys in (a, b))
    scale = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / scale if scale else 0.0

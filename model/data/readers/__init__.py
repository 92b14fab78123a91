"""Readers of published sets: one file a format, all giving the same `LabelledSet`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from model.data.readers.coco import coco_splits, read_coco
from model.data.readers.labelled import LabelledSet, Reader
from model.data.readers.lsp import lsp_splits, read_lsp
from model.data.readers.mpii import mpii_splits, read_mpii
from model.data.readers.pack import pack_splits, read_pack

__all__ = [
    "READERS",
    "SPLITS",
    "WHOLE",
    "LabelledSet",
    "Reader",
    "read_coco",
    "read_lsp",
    "read_mpii",
    "read_pack",
]

READERS: Final[Mapping[str, Reader]] = {
    "lsp": read_lsp,
    "mpii": read_mpii,
    "coco": read_coco,
    "pack": read_pack,
}
SPLITS: Final[Mapping[str, Callable[[Path], tuple[str, ...]]]] = {
    "lsp": lsp_splits,
    "mpii": mpii_splits,
    "coco": coco_splits,
    "pack": pack_splits,
}
"""Which splits a set's folder has, by its format."""

WHOLE: Final = "all"
"""Stands for the split of a set that has none."""

"""One labelled person, as every reader gives it and everything later takes it."""

import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import DatasetError
from model.geometry import Box


@dataclass(frozen=True)
class Cutting:
    """One of the many pictures in a pack's file, and the place in a photograph that it shows.

    row: its number in the file. start, length, crc32: its bytes there, and their checksum.
    photo: the photograph's name in the set. px, x, y: its pixels there, px·picture + (x, y).
    """

    row: int
    start: int
    length: int
    crc32: int
    photo: str
    px: float
    x: float
    y: float

    def read(self, file: Path) -> bytes:
        """The picture's bytes. Raises DatasetError where they are not what was written."""
        try:
            with file.open("rb") as opened:
                opened.seek(self.start)
                data = opened.read(self.length)
            fault = "" if zlib.crc32(data) == self.crc32 else "the picture is damaged"
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
        if fault:
            raise DatasetError(f"{file.parent.name}/{file.name}", self.row, fault)
        return data


@dataclass(frozen=True)
class Person:
    """A person on a photograph.

    image: the file, or an in-memory picture's name (`pixels` then holds it).
    joints_img: `[K, 3]` float32: x, y in image pixels (integer centres) and 1 where the joint is
        labelled, else 0 (its x and y are then 0 and mean nothing).
    box_img: the person's extent, without padding.
    head_px: PCKh's head size in image pixels (MPII: 0.6 × the head box's diagonal), None where the
        set gives none.
    visible: `[K]` 1 where the joint is seen, 0 where hidden, −1 where the set does not say.
    pixels: uint8 RGB `[h, w, 3]` of a picture that has no file.
    origin: what a metric needs to speak the set's own language (COCO: image id, area, …).
    cutting: which picture of the file it is, where the file is a pack's and holds many.
    """

    image: Path
    joints_img: NDArray[np.float32]
    box_img: Box
    head_px: float | None = None
    visible: NDArray[np.int8] | None = None
    pixels: NDArray[np.uint8] | None = None
    origin: dict[str, Any] = field(default_factory=dict)
    cutting: Cutting | None = None

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """`[K]` whether each joint has a label."""
        return self.joints_img[:, 2] > 0

    @property
    def picture(self) -> Path:
        """What tells the picture from every other: the file, or the row in the file."""
        return self.image if self.cutting is None else self.image / f"{self.cutting.row}"

    @property
    def photograph(self) -> Path:
        """What tells the photograph from every other: for a pack, the one that was cut up."""
        return self.image if self.cutting is None else self.image / self.cutting.photo

    @property
    def on_photograph(self) -> "Person":
        """With every label where it lies in the photograph, not in a pack's picture of it."""
        cut = self.cutting
        return self if cut is None else self.moved(cut.px, cut.x, cut.y)

    def moved(self, px: float, x: float, y: float) -> "Person":
        """Every label where the map p ↦ px·p + (x, y) of pixels takes it; the picture stays."""
        joints = self.joints_img.copy()
        joints[self.labelled, :2] = px * joints[self.labelled, :2].astype(np.float64) + [x, y]
        origin = dict(self.origin)
        if "area" in origin:
            origin["area"] *= px**2
        return replace(
            self,
            joints_img=joints,
            box_img=self.box_img.moved(px, x, y),
            head_px=None if self.head_px is None else self.head_px * px,
            origin=origin,
        )

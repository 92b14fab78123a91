"""One labelled person, as every reader gives it and everything later takes it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.geometry import Box


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
    """

    image: Path
    joints_img: NDArray[np.float32]
    box_img: Box
    head_px: float | None = None
    visible: NDArray[np.int8] | None = None
    pixels: NDArray[np.uint8] | None = None
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """`[K]` whether each joint has a label."""
        return self.joints_img[:, 2] > 0

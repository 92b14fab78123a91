"""Boxes, crops and mirrors: the only place that knows where a pixel's centre is.

Pixel centres are at integer coordinates in every frame, so an image W wide reaches from −0.5 to
W − 0.5. Frames: `_img` the upright photograph, `_crop` the network's input, `_map` a heatmap
(one cell is `STRIDE` crop pixels). Points end in (x, y); sizes are (height, width).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from model.errors import BoxInvalid

STRIDE: Final = 4
"""Crop pixels along one side of a heatmap cell."""

Points = NDArray[np.float64]


def map_to_crop(points_map: Any) -> Any:
    """x_crop = 4·x_map + 1.5, for NumPy arrays and torch tensors alike."""
    return points_map * STRIDE + (STRIDE - 1) / 2


def crop_to_map(points_crop: Any) -> Any:
    """Inverse of `map_to_crop`."""
    return (points_crop - (STRIDE - 1) / 2) / STRIDE


@dataclass(frozen=True)
class Box:
    """The pixels x … x + width − 1, y … y + height − 1 of an image; fractions allowed."""

    x: float
    y: float
    width: float
    height: float

    def __post_init__(self) -> None:
        values = (self.x, self.y, self.width, self.height)
        if not all(math.isfinite(v) for v in values):
            raise BoxInvalid(f"box {list(values)} holds a value that is not a finite number")
        if self.width <= 0 or self.height <= 0:
            raise BoxInvalid(f"box {list(values)} has no area: width and height must be above 0")

    @classmethod
    def whole(cls, size: tuple[int, int]) -> Self:
        """All of an image of size (height, width)."""
        return cls(0, 0, size[1], size[0])

    @classmethod
    def around(cls, points_img: ArrayLike) -> Self:
        """The smallest box that holds the points `[P, 2]`; at least one pixel each way."""
        points = np.asarray(points_img, np.float64)
        low, high = points.min(0), points.max(0)
        return cls(*map(float, low), *map(float, high - low + 1))

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + (self.width - 1) / 2, self.y + (self.height - 1) / 2

    def moved(self, px: float, x: float, y: float) -> Self:
        """The box where the map p ↦ px·p + (x, y) takes its pixels."""
        width, height = px * self.width, px * self.height
        cx, cy = self.centre
        return type(self)(
            px * cx + x - (width - 1) / 2, px * cy + y - (height - 1) / 2, width, height
        )

    def overlaps(self, size: tuple[int, int]) -> bool:
        """Whether any of it lies on an image of size (height, width)."""
        return (
            self.x < size[1]
            and self.y < size[0]
            and self.x + self.width > 0
            and self.y + self.height > 0
        )

    def as_list(self) -> list[float]:
        return [self.x, self.y, self.width, self.height]


def check_on_image(boxes: Sequence[Box], size: tuple[int, int]) -> None:
    """Raises BoxInvalid for a box that has no pixel on an image of size (height, width)."""
    for i, box in enumerate(boxes):
        if not box.overlaps(size):
            raise BoxInvalid(
                f"boxes[{i}] {box.as_list()} lies outside the image of {size[1]} × {size[0]} pixels"
            )


@dataclass(frozen=True)
class Crop:
    """What the network sees of one person: `matrix` `[2, 3]` takes image to crop pixels."""

    matrix: NDArray[np.float64]
    size: tuple[int, int]  # (H, W) of the crop

    @classmethod
    def around(
        cls,
        box_img: Box,
        size: tuple[int, int],
        *,
        padding: float,
        turn_deg: float = 0.0,
        zoom: float = 1.0,
        flip: bool = False,
    ) -> Self:
        """A crop of `size` (H, W) centred on the box.

        The box grows by `padding` (a fraction of its side) at each side, then in one direction
        to the aspect of `size`. `turn_deg` turns the content clockwise, `zoom` enlarges it and
        `flip` mirrors it at last (the caller exchanges left and right joints).
        """
        H, W = size
        grown = 1 + 2 * padding
        scale = zoom * min(W / (box_img.width * grown), H / (box_img.height * grown))
        turn = math.radians(turn_deg)
        c, s = scale * math.cos(turn), scale * math.sin(turn)
        cx, cy = box_img.centre
        matrix = np.array(
            [[c, -s, (W - 1) / 2 - c * cx + s * cy], [s, c, (H - 1) / 2 - s * cx - c * cy]]
        )
        if flip:
            matrix[0] = -matrix[0]
            matrix[0, 2] += W - 1
        return cls(matrix, size)

    def from_image(self, points_img: ArrayLike) -> Points:
        """Image points `[…, 2]` to crop pixels."""
        points = np.asarray(points_img, np.float64)
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_image(self, points_crop: ArrayLike) -> Points:
        """Crop points `[…, 2]` back to image pixels; the inverse of `from_image`."""
        points = np.asarray(points_crop, np.float64)
        return (points - self.matrix[:, 2]) @ np.linalg.inv(self.matrix[:, :2]).T

    def of_shrunk(self, shrink: int, corner: tuple[int, int]) -> Self:
        """The same crop, out of pixels that each average `shrink` × `shrink` of the image's.

        corner: (x, y) of the first image pixel that the first of them averages.
        """
        # Such a pixel's centre i lies at corner + shrink·i + (shrink − 1)/2 of the image.
        turn = self.matrix[:, :2]
        centre = np.add(corner, (shrink - 1) / 2)
        moved = np.column_stack([shrink * turn, turn @ centre + self.matrix[:, 2]])
        return type(self)(moved, self.size)

    @property
    def block(self) -> int:
        """Image pixels, each way, of which at least the mean makes up a crop pixel."""
        # 8 times smaller may be 7.999… in floating point, and must still average blocks of 8.
        return max(1, int(1 / max(self.px_per_image_px, 1e-9) + 1e-6))

    @property
    def px_per_image_px(self) -> float:
        """How many crop pixels one image pixel spans."""
        return float(math.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))

    def cut(self, image: Image.Image) -> NDArray[np.uint8]:
        """The crop's pixels, uint8 RGB `[H, W, 3]`, black outside the image.

        Where the image is shrunk by two or more, whole blocks are averaged first, so that fine
        texture does not alias; then one bilinear affine does the rest.
        """
        inverse = np.linalg.inv(np.vstack([self.matrix, [0, 0, 1]]))  # crop → image, centres
        block = self.block
        left = top = 0
        if block > 1:
            # Only the part under the crop is averaged: the photograph may be far larger.
            H, W = self.size
            corners = self.to_image([[-1, -1], [W, -1], [-1, H], [W, H]])
            low = np.floor(corners.min(0)).astype(int) - block
            high = np.ceil(corners.max(0)).astype(int) + block
            left, top = (
                int(np.clip(low[0], 0, image.width - 1)),
                int(np.clip(low[1], 0, image.height - 1)),
            )
            right = int(np.clip(high[0], left + 1, image.width))
            bottom = int(np.clip(high[1], top + 1, image.height))
            block = min(block, right - left, bottom - top)
            image = image.reduce(block, (left, top, right, bottom))
        # reduced pixel i covers image pixels left + block·i …, so its centre lies at
        # left + block·i + (block − 1)/2.
        a = inverse[:2].copy()
        a[:, 2] -= np.array([left, top]) + (block - 1) / 2
        a /= block
        # Pillow counts from pixel corners: its output centre is i + 0.5, and so is its input's.
        a[:, 2] += 0.5 - 0.5 * (a[:, 0] + a[:, 1])
        cut = image.transform(
            (self.size[1], self.size[0]),
            Image.Transform.AFFINE,
            tuple(a.ravel()),
            Image.Resampling.BILINEAR,
        )
        return np.asarray(cut, np.uint8)


class Crops(Sequence[Crop]):
    """P crops of one size, whose points are brought back all at once."""

    def __init__(self, crops: Sequence[Crop], size: tuple[int, int]) -> None:
        self.size = size
        self._matrices = np.array([crop.matrix for crop in crops]).reshape(-1, 2, 3)

    def __len__(self) -> int:
        return len(self._matrices)

    @overload
    def __getitem__(self, i: int) -> Crop: ...
    @overload
    def __getitem__(self, i: slice) -> "Crops": ...
    def __getitem__(self, i: int | slice) -> "Crop | Crops":
        if isinstance(i, slice):
            return Crops([Crop(matrix, self.size) for matrix in self._matrices[i]], self.size)
        return Crop(self._matrices[i], self.size)

    def to_image(self, points_crop: ArrayLike) -> Points:
        """Points `[P, …, 2]`, the first axis one crop each, back to their images' pixels."""
        points = np.asarray(points_crop, np.float64)
        each = math.prod(points.shape[1:-1])
        flat = points.reshape(len(self), each, 2) - self._matrices[:, None, :, 2]
        inverse = np.linalg.inv(self._matrices[:, :, :2])
        back: Points = flat @ inverse.transpose(0, 2, 1)
        return back.reshape(points.shape)

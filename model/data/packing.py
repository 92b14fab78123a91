"""People cut out once, so that training reads arrays and never decodes a photograph again.

A pack holds each person at the crop's own resolution with room to turn and zoom in: the crop's
size times `MARGIN`. On disk it is one `.npy` file, named by the data and the crop, mapped not read.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.person import Person
from model.errors import DatasetError, ImageUnreadable
from model.geometry import Crop, Crops
from model.images import read_image

MARGIN: Final = 1.5
IN_MEMORY_BYTES: Final = 4 << 30


@dataclass(frozen=True)
class Pack:
    """P people of K joints.

    pixels: uint8 RGB `[P, Hp, Wp, 3]`.
    joints: float32 `[P, K, 3]`: x, y in pack pixels and 1 where labelled.
    """

    pixels: NDArray[np.uint8]
    joints: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pixels)


def pack(
    people: Sequence[Person],
    crop_px: tuple[int, int],
    padding: float,
    *,
    fingerprint: str,
    cache: Path | None = None,
    advance: Callable[[int, int], None] | None = None,
) -> Pack:
    """Cut everybody out. `advance(done, of)` is called as it goes on.

    The file lies in `cache` and is used again; without a cache, or where it is small, the pack
    stays in memory. Raises DatasetError naming the photograph that cannot be read.
    """
    H, W = crop_px
    size = (round(H * MARGIN), round(W * MARGIN))
    crops = [_widened(Crop.around(p.box_img, crop_px, padding=padding), size) for p in people]
    joints = np.stack([_joints_in(p, c) for p, c in zip(people, crops, strict=True)])
    shape = (len(people), *size, 3)
    if cache is None:
        pixels = np.empty(shape, np.uint8)
        _fill(pixels, people, crops, advance)
        return Pack(pixels, joints)

    key = json.dumps([fingerprint, len(people), crop_px, padding, MARGIN])
    path = cache / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npy"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            written = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            _fill(written, people, crops, advance)
            written.flush()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    small = int(np.prod(shape)) <= IN_MEMORY_BYTES
    return Pack(np.load(path, mmap_mode=None if small else "r"), joints)


def exact_crops(
    people: Sequence[Person], crop_px: tuple[int, int], padding: float
) -> tuple[NDArray[np.uint8], Crops]:
    """The crops that serving would make: uint8 `[P, H, W, 3]`, and the way back."""
    crops = [Crop.around(p.box_img, crop_px, padding=padding) for p in people]
    pixels = np.empty((len(people), *crop_px, 3), np.uint8)
    _fill(pixels, people, crops, None)
    return pixels, Crops(crops, crop_px)


def picture_of(person: Person) -> Image.Image:
    """The person's whole photograph, RGB. Raises DatasetError."""
    if person.pixels is not None:
        return Image.fromarray(person.pixels)
    try:
        return read_image(person.image)
    except (ImageUnreadable, OSError) as error:
        raise DatasetError(person.image.name, None, str(error)) from error


def _widened(crop: Crop, size: tuple[int, int]) -> Crop:
    """The same scale with more room on every side."""
    matrix = crop.matrix.copy()
    matrix[:, 2] += [(size[1] - crop.size[1]) / 2, (size[0] - crop.size[0]) / 2]
    return Crop(matrix, size)


def _joints_in(person: Person, crop: Crop) -> NDArray[np.float32]:
    joints = person.joints_img.astype(np.float32)
    joints[:, :2] = crop.from_image(joints[:, :2])
    return joints


def _fill(
    pixels: NDArray[np.uint8],
    people: Sequence[Person],
    crops: Sequence[Crop],
    advance: Callable[[int, int], None] | None,
) -> None:
    def cut(i: int) -> None:
        pixels[i] = crops[i].cut(picture_of(people[i]))

    # Pillow lets go of the interpreter while it decodes, so threads do share the cores.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for done, _ in enumerate(pool.map(cut, range(len(people))), 1):
            if advance is not None and (done % 256 == 0 or done == len(people)):
                advance(done, len(people))

"""People cut out once, so that training reads arrays and never decodes a photograph again.

A pack holds each person at the crop's own resolution with room to turn and zoom in: the crop's
size times `MARGIN`. On disk it is one `.npy` file, named by the data and the crop, which is read
into memory or, where that would take too much, mapped. (What travels is another thing: see
`model.data.archive`.)
"""

import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.cores import cores
from model.data.person import Person
from model.errors import ConfigError, DatasetError, Fault, ImageUnreadable
from model.files import replaced
from model.geometry import Crop, Crops
from model.images import open_image, read_image

MARGIN: Final = 1.5
IN_MEMORY_BYTES: Final = 4 << 30
Mode = Literal["auto", "memory", "disk"]
"""Where a pack lies while it is read; `auto`: in memory up to `IN_MEMORY_BYTES`."""
_SHRUNK: Final = 1.01  # less is rounding


@dataclass(frozen=True)
class Pack:
    """P people of K joints.

    pixels: uint8 RGB `[P, Hp, Wp, 3]`.
    joints: float32 `[P, K, 3]`: x, y in pack pixels and how far the label is believed, 0 for none.
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
    mode: Mode = "auto",
    advance: Callable[[int, int], None] | None = None,
) -> Pack:
    """Cut everybody out. `advance(done, of)` is called as it goes on.

    The file lies in `cache` and is used again; without a cache there is none, and the pack is in
    memory. Raises DatasetError naming the photograph that cannot be read, ConfigError for a pack on
    disk without a cache, DiskFull.
    """
    if mode == "disk" and cache is None:
        fault = "there is no folder to keep cut-out people in"
        raise ConfigError([Fault("training.cache", fault, "auto or memory, or a cache folder")])
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
        with _mapped_file(path, shape) as written:
            _fill(written, people, crops, advance)
    small = math.prod(shape) <= IN_MEMORY_BYTES
    mapped = mode == "disk" or (mode == "auto" and not small)
    return Pack(np.load(path, mmap_mode="r" if mapped else None), joints)


@contextmanager
def _mapped_file(path: Path, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """An array in a `.npy` that takes `path`'s place when the block ends well. Raises DiskFull."""
    with replaced(path) as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.flush()
        # Its blocks now: a mapped page that finds no room on the disk later kills the process.
        os.posix_fallocate(file.fileno(), 0, file.tell() + math.prod(shape))
        written = np.memmap(file.name, np.uint8, "r+", file.tell(), shape)
        yield written
        written.flush()


def exact_crops(
    people: Sequence[Person], crop_px: tuple[int, int], padding: float
) -> tuple[NDArray[np.uint8], Crops]:
    """The crops that serving would make: uint8 `[P, H, W, 3]`, and the way back."""
    crops = [Crop.around(p.box_img, crop_px, padding=padding) for p in people]
    pixels = np.empty((len(people), *crop_px, 3), np.uint8)
    _fill(pixels, people, crops, None)
    return pixels, Crops(crops, crop_px)


def picture_of(person: Person) -> Image.Image:
    """The person's whole picture, RGB. Raises DatasetError."""
    if person.pixels is not None:
        return Image.fromarray(person.pixels)
    cutting = person.cutting
    try:
        if cutting is None:
            return read_image(person.image)
        return open_image(cutting.read(person.image))
    except (ImageUnreadable, OSError) as error:
        row = None if cutting is None else cutting.row
        raise DatasetError(person.image.name, row, str(error)) from error


def blurred(people: Sequence[Person], crop_px: tuple[int, int], padding: float) -> str:
    """What to know where crops show people larger than their pack keeps them; else nothing.

    A pack made for smaller crops has less detail than the photographs that it was cut from.
    """
    scales = np.array(
        [
            Crop.around(person.box_img, crop_px, padding=padding).px_per_image_px
            for person in people
            if person.cutting is not None and person.cutting.px > _SHRUNK
        ]
    )
    blurred = scales[scales > _SHRUNK]
    if not len(blurred):
        return ""
    H, W = crop_px
    return (
        f"{len(blurred):,} of {len(people):,} people are packed for smaller crops than {H} × {W} "
        f"pixels, and enlarged up to {blurred.max():.2f} times: pack them anew with a larger --size"
    )


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
    with ThreadPoolExecutor(cores()) as pool:
        for done, _ in enumerate(pool.map(cut, range(len(people))), 1):
            if advance is not None and (done % 256 == 0 or done == len(people)):
                advance(done, len(people))

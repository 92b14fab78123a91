"""Writing packs: people cut out of their photographs, compressed, one file a split.

What a pack keeps is laid down in `model.data.readers.pack`. A picture shows the person with the
room that training turns and zooms in (`MARGIN`), at the resolution of the crop it is packed for or
at the photograph's own where that is lower, clipped to the photograph. Its pixels lie on the very
grid of the crop, so that a training at this size and padding reads them unshifted.
"""

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.cores import cores
from model.data.check import check_set, fingerprint
from model.data.packing import MARGIN, picture_of
from model.data.person import Person
from model.data.readers.labelled import LabelledSet, Packed
from model.data.readers.pack import ABOUT, PICTURE, About, read_about
from model.errors import DatasetError
from model.files import replaced
from model.geometry import Crop

_SPEED: Final = 6  # libaom's, 0…10; docs/data-pack.md has how coding and speed were chosen
_SAME_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the same people make the same bytes
_MODE: Final = 0o644 << 16


@dataclass(frozen=True)
class Recipe:
    """crop_px: (H, W) of the largest crops that are to lose nothing; padding: of their boxes.

    quality: of the pictures' AVIF, 1…100. terms: on which the photographs may be used.
    """

    crop_px: tuple[int, int]
    padding: float
    quality: int
    terms: str

    def of(self, labelled: LabelledSet) -> Packed:
        """The record of a set that is packed so."""
        first = labelled.packed[0].fingerprint if labelled.packed else fingerprint(labelled)
        return Packed(first, self.terms, self.crop_px, self.padding, self.quality)


def file_of(labelled: LabelledSet, folder: Path) -> Path:
    """Where a set lies in the folder of packs: `lspet:train` in `lspet/train.zip`."""
    name, _, split = labelled.name.partition(":")
    return folder / name / f"{split or 'all'}.zip"


def is_packed(labelled: LabelledSet, folder: Path, recipe: Recipe) -> bool:
    """Whether the same set was packed so before. Raises DatasetError where another one was."""
    file = file_of(labelled, folder)
    if not file.exists():
        return False
    about = read_about(file)
    if (about.name, about.packed) != (labelled.name, recipe.of(labelled)):
        raise DatasetError(
            f"{file.parent.name}/{file.name}",
            None,
            "is there already, of another set or packed otherwise; remove it or choose another "
            "folder",
        )
    return True


def write_pack(
    labelled: LabelledSet,
    folder: Path,
    recipe: Recipe,
    advance: Callable[[int, int], None] | None = None,
) -> Path:
    """Packs a set's people into a file below `folder`, which is there whole or not at all.

    `advance(done, of)` is called as it goes on. Raises DatasetError: for a set with faults, for a
    photograph that cannot be decoded.
    """
    faults = check_set(labelled).faults
    if faults:
        raise DatasetError(labelled.name, None, "; ".join(faults))
    file = file_of(labelled, folder)
    rows: list[_Row] = []
    with replaced(file) as opened, ZipFile(opened, "w") as archive:
        for row, picture in _cut_out(labelled.people, recipe):
            archive.writestr(_entry(PICTURE.format(len(rows))), picture, ZIP_STORED)
            rows.append(row)
            if advance is not None:
                advance(len(rows), len(labelled.people))
        for name, values in _arrays(rows).items():
            buffer = io.BytesIO()
            np.save(buffer, values)
            archive.writestr(_entry(f"{name}.npy"), buffer.getvalue(), ZIP_DEFLATED, 9)
        about = About(
            name=labelled.name,
            packed=recipe.of(labelled),
            skeleton=labelled.skeleton.describe(),
            photos=[row.photo for row in rows],
            origins=[row.person.origin for row in rows],
        )
        archive.writestr(_entry(ABOUT), about.model_dump_json(indent=1), ZIP_DEFLATED, 9)
    return file


@dataclass(frozen=True)
class _Row:
    """A person, with labels as they lie in their own picture.

    photo, place: the name of the photograph, and px, x, y as in `Cutting`.
    """

    person: Person
    photo: str
    place: tuple[float, float, float]


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _SAME_DATE)
    entry.external_attr = _MODE
    return entry


def _cut_out(people: list[Person], recipe: Recipe) -> Iterator[tuple[_Row, bytes]]:
    """Everybody in order, each with their picture's bytes."""
    common = Path(os.path.commonpath([person.photograph.parent for person in people]))

    def cut(person: Person) -> tuple[_Row, bytes]:
        image = picture_of(person)
        window = window_of(person, (image.height, image.width), recipe)
        buffer = io.BytesIO()
        Image.fromarray(window.cut(image)).save(
            buffer,
            "AVIF",
            quality=recipe.quality,
            speed=_SPEED,
            subsampling="4:2:0",
            max_threads=1,  # people are spread over the cores, not the blocks of each
        )
        moved = person.moved(window.px_per_image_px, *window.matrix[:, 2].tolist())
        photo = person.photograph.relative_to(common).as_posix()
        return _Row(moved, photo, _place(person, window)), buffer.getvalue()

    # Pillow lets go of the interpreter while it decodes and encodes.
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(cut, people)


def window_of(person: Person, size: tuple[int, int], recipe: Recipe) -> Crop:
    """What of a picture of `size` (h, w) is kept, on the grid of the crop or of the picture."""
    H, W = recipe.crop_px
    crop = Crop.around(person.box_img, (H, W), padding=recipe.padding)
    room = np.array([W, H]) * (MARGIN - 1) / 2
    low, high = -room - 0.5, np.array([W, H]) + room - 0.5
    matrix = crop.matrix
    if crop.px_per_image_px >= 1:  # more pixels would tell nothing more
        low, high = crop.to_image([low, high])
        matrix = np.eye(2, 3)
    frame = Crop(matrix, size)
    edge_low, edge_high = frame.from_image([[-0.5, -0.5], [size[1] - 0.5, size[0] - 0.5]])
    first = np.ceil(np.maximum(np.floor(low), edge_low))
    last = np.floor(np.minimum(np.ceil(high), edge_high))
    width, height = np.maximum(last - first + 1, 1).astype(int).tolist()
    shifted = matrix.astype(np.float64)
    shifted[:, 2] -= first
    return Crop(shifted, (height, width))


def _place(person: Person, window: Crop) -> tuple[float, float, float]:
    """Where the picture's pixels lie in the photograph: px·picture + (x, y)."""
    px = 1 / window.px_per_image_px
    x, y = window.to_image([0, 0]).tolist()
    before = person.cutting
    if before is None:
        return px, x, y
    # A pack is packed again: it is the photograph that counts.
    return before.px * px, before.px * x + before.x, before.px * y + before.y


def _arrays(rows: Sequence[_Row]) -> dict[str, NDArray[Any]]:
    """The pack's arrays by name."""
    people = [row.person for row in rows]
    heads = [math.nan if p.head_px is None else p.head_px for p in people]
    arrays: dict[str, NDArray[Any]] = {
        "joints": np.array([p.joints_img for p in people], "<f4"),
        "boxes": np.array([p.box_img.as_list() for p in people], "<f8"),
        "head_px": np.array(heads, "<f8"),
        "places": np.array([row.place for row in rows], "<f8"),
    }
    if any(p.visible is not None for p in people):
        unknown = np.full(len(people[0].joints_img), -1, np.int8)
        arrays["visible"] = np.array(
            [unknown if p.visible is None else p.visible for p in people], "|i1"
        )
    return arrays

"""Is a set complete, and still the same? What is told when one is registered or trained on."""

import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from model.data.person import Person
from model.data.readers.labelled import LabelledSet
from model.errors import DatasetError

_NAMED: Final = 10
_TURNED: Final = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_ORIENTATION: Final = 0x0112
# Pillow's plugins raise all but the last on damaged headers.
_UNREADABLE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
    DatasetError,
)


@dataclass(frozen=True)
class Report:
    """What was found in a set. Image lists hold the first ten names, beside each a count.

    joints: how many people have each joint labelled, by name. joints_outside: labelled joints
    that lie off their image, of `outside_people` people (not a fault: photographs cut people off,
    and annotators guess). boxes_outside: people whose box touches no pixel of their image.
    """

    people: int
    images: int
    joints: dict[str, int]
    images_missing: int
    missing: tuple[str, ...]
    images_unreadable: int
    unreadable: tuple[str, ...]
    joints_outside: int
    outside_people: int
    boxes_outside: int

    @property
    def faults(self) -> tuple[str, ...]:
        """Why the set cannot be used as it is; empty when it can."""
        found = []
        if not self.people:
            found.append("it holds no labelled person")
        if self.images_missing:
            found.append(_some("images are missing", self.images_missing, self.missing))
        if self.images_unreadable:
            found.append(_some("images cannot be read", self.images_unreadable, self.unreadable))
        if self.boxes_outside:
            found.append(f"{self.boxes_outside} people's boxes lie off their images")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """JSON form, faults included."""
        return asdict(self) | {"faults": list(self.faults)}


def check_set(labelled: LabelledSet) -> Report:
    """Counts people, images and labelled joints, and looks at the header of every image."""
    names = image_names(labelled.people)
    sizes: dict[Path, tuple[int, int] | None] = {}
    missing, unreadable = [], []
    joints_outside = outside_people = boxes_outside = 0
    for person in labelled.people:
        if person.picture not in sizes:
            try:
                sizes[person.picture] = _size(person)
            except FileNotFoundError:
                sizes[person.picture] = None
                missing.append(names[person.picture])
            except _UNREADABLE:
                sizes[person.picture] = None
                unreadable.append(names[person.picture])
        size = sizes[person.picture]
        if size is None:
            continue
        height, width = size
        x, y = person.joints_img[person.labelled, :2].T
        outside = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
        joints_outside += int(outside.sum())
        outside_people += bool(outside.any())
        boxes_outside += not person.box_img.overlaps(size)
    counts = sum(
        (person.labelled.astype(np.int64) for person in labelled.people),
        np.zeros(len(labelled.skeleton), np.int64),
    )
    return Report(
        people=len(labelled.people),
        images=len(sizes),
        joints=dict(zip(labelled.skeleton.joints, counts.tolist(), strict=True)),
        images_missing=len(missing),
        missing=tuple(missing[:_NAMED]),
        images_unreadable=len(unreadable),
        unreadable=tuple(unreadable[:_NAMED]),
        joints_outside=joints_outside,
        outside_people=outside_people,
        boxes_outside=boxes_outside,
    )


def fingerprint(labelled: LabelledSet) -> str:
    """SHA-256 (hex) over joints, boxes, image names and image sizes in bytes, in the set's order.

    Where the set lies does not matter: image names count from the images' common folder on. The
    pixels of pictures in memory are hashed themselves. A missing image is hashed as such.
    """
    digest = hashlib.sha256("\n".join(labelled.skeleton.joints).encode())
    names = image_names(labelled.people)
    seen: dict[Path, int] = {}
    for person in labelled.people:
        if person.picture not in seen:
            seen[person.picture] = _bytes(person)
        digest.update(f"\n{names[person.picture]}\0{seen[person.picture]}\0".encode())
        digest.update(np.ascontiguousarray(person.joints_img, "<f4").tobytes())
        digest.update(np.array(person.box_img.as_list(), "<f8").tobytes())
        digest.update(np.array(person.head_px or 0, "<f8").tobytes())
        if person.visible is not None:
            digest.update(person.visible.astype("<i1").tobytes())
        if person.cutting is not None:
            digest.update(person.cutting.crc32.to_bytes(4, "little"))
        if person.pixels is not None:
            digest.update(np.ascontiguousarray(person.pixels).data)
    return digest.hexdigest()


def image_names(people: Iterable[Person]) -> dict[Path, str]:
    """Each image's name from the images' common folder on."""
    images = {person.picture for person in people}
    if not images:
        return {}
    folder = os.path.commonpath([image.parent for image in images])
    return {image: image.relative_to(folder).as_posix() for image in images}


def _size(person: Person) -> tuple[int, int]:
    """(height, width) of the upright image, from its header."""
    if person.pixels is not None:
        return person.pixels.shape[0], person.pixels.shape[1]
    cutting = person.cutting
    file = person.image if cutting is None else io.BytesIO(cutting.read(person.image))
    with Image.open(file) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
    return (width, height) if turned else (height, width)


def _bytes(person: Person) -> int:
    """Size of the picture's file, or of its row in a pack; −1 where it is missing, 0 in memory."""
    if person.pixels is not None:
        return 0
    if person.cutting is not None:
        return person.cutting.length
    try:
        return person.image.stat().st_size
    except OSError:
        return -1


def _some(what: str, count: int, names: tuple[str, ...]) -> str:
    return f"{count} {what}: {', '.join(names)}{', …' if count > len(names) else ''}"

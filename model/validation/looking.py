"""Every photograph of a split, decoded once: what it looks like, and what a student sees on it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.data.check import image_names
from model.data.person import Person
from model.data.readers import LabelledSet
from model.errors import DatasetError, ImageTooLarge, ImageUnreadable
from model.images import MAX_BYTES, open_image
from model.predictor import Predictor
from model.skeletons import joint_map
from model.validation.looks import Look

LEAST_PAIRS: Final = 3
"""A student that knows fewer of a set's pairs says nothing about sides."""


@dataclass
class Looked:
    """names: of the photographs, by `Person.picture`. looks: of those that could be decoded, by
    name, as missing and broken (with the reason) name the others. found: `[P, K, 3]` a student's
    points in the set's skeleton and in image pixels, NaN where there are none; None where it knows
    other joints.
    """

    labelled: LabelledSet
    names: dict[Path, str]
    found: NDArray[np.float64] | None
    looks: dict[str, Look] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


def look_at(labelled: LabelledSet, student: Predictor, advance: Callable[[], None]) -> Looked:
    """Decode all photographs, within the bounds of `model.images`.

    advance: called before each; what it raises ends the work.
    """
    by_picture: dict[Path, list[int]] = {}
    for p, person in enumerate(labelled.people):
        by_picture.setdefault(person.picture, []).append(p)
    known = joint_map(student.card.skeleton, labelled.skeleton)
    pairs = sum(known[a] >= 0 and known[b] >= 0 for a, b in labelled.skeleton.pair_indices)
    shape = (len(labelled.people), len(labelled.skeleton), 3)
    looked = Looked(
        labelled,
        image_names(labelled.people),
        np.full(shape, np.nan) if pairs >= LEAST_PAIRS else None,
    )
    for picture, places in by_picture.items():
        advance()
        name = looked.names[picture]
        try:
            image, sha256 = _decoded(labelled.people[places[0]])
        except FileNotFoundError:
            looked.missing.append(name)
        except (OSError, DatasetError, ImageUnreadable, ImageTooLarge) as error:
            looked.broken[name] = _reason(error)
        else:
            looked.looks[name] = Look.of(image, sha256)
            if looked.found is not None:
                boxes = [labelled.people[p].box_img for p in places]
                crops = [student.crop_around(box) for box in boxes]
                cut = np.stack([crop.cut(image) for crop in crops])
                answer = student.infer(cut, flip_test=True)
                for p, crop, points in zip(places, crops, answer, strict=True):
                    looked.found[p, known >= 0] = points[known[known >= 0]]
                    looked.found[p, :, :2] = crop.to_image(looked.found[p, :, :2])
    return looked


def _decoded(person: Person) -> tuple[Image.Image, str]:
    """A person's whole picture, and the SHA-256 of its bytes."""
    if person.pixels is not None:
        data = np.ascontiguousarray(person.pixels).tobytes()
        return Image.fromarray(person.pixels), hashlib.sha256(data).hexdigest()
    if person.cutting is not None:
        data = person.cutting.read(person.image)
    else:
        with person.image.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ImageUnreadable(f"it has more than {MAX_BYTES:,} bytes")
    return open_image(data), hashlib.sha256(data).hexdigest()


def _reason(error: Exception) -> str:
    """Without a path: whoever reads it needs none of the server's."""
    if isinstance(error, DatasetError):
        return error.fault
    return (error.strerror if isinstance(error, OSError) else str(error)) or "cannot be read"

"""Every photograph of a split, decoded once: what it looks like, and what a student sees on it."""

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.cores import cores
from model.data.check import image_names
from model.data.person import Person
from model.data.readers import LabelledSet
from model.errors import DatasetError, ImageTooLarge, ImageUnreadable
from model.evaluation import answers, on_images
from model.geometry import Crop, Crops
from model.images import MAX_BYTES, open_image
from model.predictor import Predictor
from model.skeletons import joint_map
from model.validation.looks import Look

LEAST_PAIRS: Final = 3
"""A student that knows fewer of a set's pairs says nothing about sides."""
_AT_ONCE: Final = 32
"""Photographs that are decoded and shown to the student together."""


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


def look_at(labelled: LabelledSet, student: Predictor, advance: Callable[[int], None]) -> Looked:
    """Decode all photographs, within the bounds of `model.images`.

    advance: told again and again how many more have been looked at; what it raises ends the work.
    """
    by_picture: dict[Path, list[int]] = {}
    for p, person in enumerate(labelled.people):
        by_picture.setdefault(person.picture, []).append(p)
    known = joint_map(student.card.skeleton, labelled.skeleton)
    pairs = sum(known[a] >= 0 and known[b] >= 0 for a, b in labelled.skeleton.pair_indices)
    asked = pairs >= LEAST_PAIRS
    shape = (len(labelled.people), len(labelled.skeleton), 3)
    looked = Looked(
        labelled, image_names(labelled.people), np.full(shape, np.nan) if asked else None
    )

    def see(places: Sequence[int]) -> _Seen | str | None:
        return _seen([labelled.people[p] for p in places], student if asked else None)

    pictures = list(by_picture)
    with ThreadPoolExecutor(cores()) as pool:
        for at in range(0, len(pictures), _AT_ONCE):
            some = pictures[at : at + _AT_ONCE]
            advance(0)
            seen = list(pool.map(see, (by_picture[picture] for picture in some)))
            people: list[int] = []
            crops: list[Crop] = []
            pixels: list[NDArray[np.uint8]] = []
            for picture, one in zip(some, seen, strict=True):
                name = looked.names[picture]
                if one is None:
                    looked.missing.append(name)
                elif isinstance(one, str):
                    looked.broken[name] = one
                else:
                    looked.looks[name] = one.look
                    people += by_picture[picture]
                    crops += one.crops
                    pixels += one.pixels
            if looked.found is not None and pixels:
                points = answers(student, np.stack(pixels), flip_test=True)[:, known]
                found = on_images(points, Crops(crops, student.card.size))
                looked.found[people] = np.where((known >= 0)[:, None], found, np.nan)
            advance(len(some))
    return looked


@dataclass(frozen=True)
class _Seen:
    """A photograph's look, and its people cut out of it, each uint8 `[H, W, 3]`."""

    look: Look
    crops: list[Crop]
    pixels: list[NDArray[np.uint8]]


def _seen(people: Sequence[Person], student: Predictor | None) -> _Seen | str | None:
    """The one photograph of some people; a reason where it cannot be decoded, None if not there."""
    try:
        image, sha256 = _decoded(people[0])
    except FileNotFoundError:
        return None
    except (OSError, DatasetError, ImageUnreadable, ImageTooLarge) as error:
        return _reason(error)
    crops = [student.crop_around(person.box_img) for person in people] if student else []
    return _Seen(Look.of(image, sha256), crops, [crop.cut(image) for crop in crops])


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

"""Which photographs a job answers, under which ids, and where their people are.

Made once and kept in the run folder: a folder that changes meanwhile must not renumber them.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from model.data.readers import files
from model.errors import DatasetError
from model.files import write_json
from model.geometry import Box
from worker.jobs.photographs import Photographs, is_text

MOST: Final = 200_000
MOST_PEOPLE: Final = 1000
"""On one photograph, whose crops are all in memory together."""


@dataclass(frozen=True)
class Photo:
    """id: of the results. name: within the folder or ZIP. boxes: None: the whole is one person."""

    id: int | str
    name: str
    boxes: tuple[Box, ...] | None

    def to_json(self) -> dict[str, Any]:
        boxes = None if self.boxes is None else [box.as_list() for box in self.boxes]
        return {"id": self.id, "name": self.name, "boxes": boxes}

    @classmethod
    def from_json(cls, tree: Mapping[str, Any]) -> "Photo":
        """What `to_json` gave."""
        boxes = tree["boxes"]
        there = None if boxes is None else tuple(Box(*box) for box in boxes)
        return cls(tree["id"], tree["name"], there)


def listed(photographs: Photographs, boxes: str | None, kept: Path) -> list[Photo]:
    """boxes: name of a COCO file among them, or None. kept: the file that the list is kept in.

    Raises DatasetError: there are none or too many, or the COCO file is faulty.
    """
    if kept.exists():
        return [Photo.from_json(tree) for tree in json.loads(kept.read_text("utf-8"))]
    if boxes is not None:
        found = list(_by_coco(photographs, boxes))
    else:
        names = photographs.names
        found = [Photo(i, name, photographs.boxes_of(name)) for i, name in enumerate(names, 1)]
    if not 0 < len(found) <= MOST:
        fault = f"there are {len(found):,} photographs; accepted: 1 to {MOST:,}"
        raise DatasetError(boxes or "the folder", None, fault)
    write_json(kept, [photo.to_json() for photo in found])
    return found


def _by_coco(photographs: Photographs, file: str) -> Iterator[Photo]:
    """Those that a COCO file lists, by its ids, each with its annotations' boxes. Crowds are left
    out; an image without any annotation has nobody on it."""
    try:
        content = json.loads(photographs.beside(file))
    except (ValueError, RecursionError) as error:
        raise DatasetError(file, None, f"is not valid JSON: {error}") from None
    lists = {key: files.field(content, key, file, "top level") for key in ("images", "annotations")}
    for key, rows in lists.items():
        if not isinstance(rows, list):
            raise DatasetError(file, None, f"{key} should be a list")
    boxes: dict[Any, list[Box]] = {}
    for i, row in enumerate(lists["images"]):
        image_id = _id(row, "id", file, f"image {i}")
        if image_id in boxes:
            raise DatasetError(file, f"image {i}", f"has the id {image_id} of another")
        boxes[image_id] = []
    for i, row in enumerate(lists["annotations"]):
        where = f"annotation {i}"
        image_id = _id(row, "image_id", file, where)
        if image_id not in boxes:
            raise DatasetError(file, where, f"there is no image with the id {image_id}")
        if not row.get("iscrowd"):
            flat = files.field(row, "bbox", file, where)
            x, y, width, height = files.numbers(flat, "bbox", file, where, shape=(4,)).tolist()
            boxes[image_id].append(files.box(x, y, width, height, file, where))
            if len(boxes[image_id]) > MOST_PEOPLE:
                raise DatasetError(file, where, f"is one of more than {MOST_PEOPLE} of its image")
    find = _Finder(photographs.names)
    for i, row in enumerate(lists["images"]):
        name = files.field(row, "file_name", file, f"image {i}")
        if not isinstance(name, str) or not is_text(name):
            raise DatasetError(file, f"image {i}", f"file_name should be text, found {name!r}")
        yield Photo(row["id"], find(name), tuple(boxes[row["id"]]))


class _Finder:
    """COCO's file names leave out the folder: a name means the one photograph that ends so."""

    def __init__(self, names: list[str]) -> None:
        self._whole = set(names)
        self._last: dict[str, list[str]] = {}
        for name in names:
            self._last.setdefault(PurePosixPath(name).name, []).append(name)

    def __call__(self, name: str) -> str:
        """As it is listed; the name itself where none or several are meant."""
        if name in self._whole:
            return name
        ends = [n for n in self._last.get(PurePosixPath(name).name, ()) if n.endswith(f"/{name}")]
        return ends[0] if len(ends) == 1 else name


def _id(row: Any, key: str, file: str, where: str) -> int | str:
    value = files.field(row, key, file, where)
    if isinstance(value, int) or (isinstance(value, str) and is_text(value)):
        return value
    raise DatasetError(file, where, f"{key} should be a whole number, found {value!r}")

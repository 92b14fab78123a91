"""COCO person keypoints, or any file of that form: one category with named keypoints.

Lin et al., ECCV 2014; https://cocodataset.org/#format-data. Coordinates are 0-based pixel
indices, as ours; boxes are [x, y, width, height] from the image's corner, as ours.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from model.data.person import Person
from model.data.readers import files
from model.data.readers.labelled import LabelledSet
from model.errors import DatasetError
from model.skeletons import Skeleton, from_coco_category

_FILE: Final = re.compile(r"person_keypoints_(.+)\.json")


def read_coco(path: Path, split: str | None) -> LabelledSet:
    """The people of a COCO folder or file, in the file's order.

    path: a folder with `annotations/person_keypoints_<split>.json`, or such a json itself (split
    is then None). Images lie in `images`, `images/<split>`, `<split>`, `<split>2017`, or in the
    folder itself, the first that has the first image. Crowds and people without a labelled joint
    are left out. Of several categories with keypoints, `person` is read.

    `origin` of a person: image_id, annotation_id, category_id, and area where the file gives it.
    Raises DatasetError.
    """
    if path.suffix == ".json":
        if split is not None:
            raise DatasetError(path.name, None, f"is one file: no split {split!r} can be chosen")
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        match = _FILE.fullmatch(path.name)
        chosen = {match[1] if match else path.stem: path}
    else:
        root = path
        where = f"{path.absolute().name}/annotations"
        splits = files.chosen_splits(split, coco_splits(path), where)
        chosen = {s: path / "annotations" / f"person_keypoints_{s}.json" for s in splits}
    if not chosen:
        raise DatasetError(where, None, "has no person_keypoints_<split>.json")

    skeletons: list[Skeleton] = []
    people: list[Person] = []
    for name, file in chosen.items():
        skeleton, some = _read_file(file, root, name)
        skeletons.append(skeleton)
        people += some
        if skeleton != skeletons[0]:
            raise DatasetError(
                files.shown(file, root), None, "has other keypoints than the split before it"
            )
    return LabelledSet(
        name=f"coco:{split or '+'.join(chosen)}",
        skeleton=skeletons[0],
        people=people,
        source=f"coco:{path}" + (f":{split}" if split else ""),
    )


def coco_splits(path: Path) -> tuple[str, ...]:
    """The splits of a folder: its `annotations/person_keypoints_<split>.json`."""
    names = (file.name for file in (path / "annotations").glob("person_keypoints_*.json"))
    return tuple(sorted(match[1] for name in names if (match := _FILE.fullmatch(name))))


def _read_file(file: Path, root: Path, split: str) -> tuple[Skeleton, list[Person]]:
    name = files.shown(file, root)
    content = files.read_json(file, name)
    lists = {}
    for key in ("categories", "images", "annotations"):
        lists[key] = files.field(content, key, name, "top level")
        if not isinstance(lists[key], list):
            raise DatasetError(name, None, f"{key} should be a list")
    category = _category(lists["categories"], name)
    skeleton = _skeleton(category, name)
    images: dict[Any, str] = {}
    for i, row in enumerate(lists["images"]):
        where = f"image {i}"
        images[_key(row, "id", name, where)] = files.field(row, "file_name", name, where)
    folder = _image_folder(root, split, next(iter(images.values()), ""))
    people = []
    for i, row in enumerate(lists["annotations"]):
        where = f"annotation {i}"
        if _key(row, "category_id", name, where) != category["id"] or row.get("iscrowd"):
            continue
        person = _person(row, skeleton, images, folder, name, where)
        if person is not None:
            people.append(person)
    return skeleton, people


def _key(row: Any, key: str, name: str, where: str) -> int | str:
    """An identifier of a row: COCO's are whole numbers, other tools write text too."""
    value = files.field(row, key, name, where)
    if isinstance(value, int | str):
        return value
    raise DatasetError(name, where, f"{key} should be a whole number, found {value!r}")


def _category(categories: list[Any], name: str) -> Mapping[str, Any]:
    """The category whose keypoints are read: the only one with some, or `person` among several."""
    for i, category in enumerate(categories):
        _key(category, "id", name, f"category {i}")
    posed = [category for category in categories if category.get("keypoints")]
    if len(posed) > 1:
        posed = [category for category in posed if category.get("name") == "person"]
    if len(posed) != 1:
        names = [category.get("name") for category in categories]
        raise DatasetError(
            name, None, f"needs one category with keypoints, or one called person; found {names}"
        )
    return posed[0]  # type: ignore[no-any-return]


def _skeleton(category: Mapping[str, Any], name: str) -> Skeleton:
    try:
        return from_coco_category(category, name)
    except (
        AttributeError,
        TypeError,
        ValueError,
    ) as error:  # names that are no text, a sigma that is no number
        raise DatasetError(name, f"category {category['id']}", str(error)) from None


def _image_folder(root: Path, split: str, first: Any) -> Path:
    """Where the images lie: the first usual place that has the first of them."""
    usual = ("images", f"images/{split}", split, f"{split}2017", ".")
    if isinstance(first, str) and first:
        for folder in usual:
            if (root / folder / first).exists():
                return root / folder
    return root / "images"


def _person(
    row: Mapping[str, Any],
    skeleton: Skeleton,
    images: Mapping[Any, str],
    folder: Path,
    name: str,
    where: str,
) -> Person | None:
    """The person of an annotation; None when no joint is labelled."""
    where = f"{where} (id {row.get('id')})"
    K = len(skeleton)
    flat = files.numbers(
        files.field(row, "keypoints", name, where), "keypoints", name, where, shape=(3 * K,)
    )
    joints = flat.reshape(K, 3)
    v = joints[:, 2]
    if not np.isin(v, (0, 1, 2)).all():
        raise DatasetError(
            name, where, f"a keypoint's flag should be 0, 1 or 2, found {v.tolist()}"
        )
    labelled = v > 0
    if not labelled.any():
        return None
    bad = labelled & ~files.is_place(joints[:, :2])
    if bad.any():
        joint = skeleton.joints[int(bad.argmax())]
        raise DatasetError(name, where, f"{joint} has coordinates that are not a place")
    image_id = _key(row, "image_id", name, where)
    if image_id not in images:
        raise DatasetError(name, where, f"there is no image with the id {image_id}")
    x, y, width, height = files.numbers(
        files.field(row, "bbox", name, where), "bbox", name, where, shape=(4,)
    ).tolist()
    joints_img = np.zeros((K, 3), np.float32)
    joints_img[labelled, :2] = joints[labelled, :2]
    joints_img[labelled, 2] = 1
    origin: dict[str, Any] = {
        "image_id": image_id,
        "annotation_id": _key(row, "id", name, where),
        "category_id": row["category_id"],
    }
    if "area" in row:
        area = float(files.numbers(row["area"], "area", name, where, shape=()))
        if not 0 < area < float("inf"):
            raise DatasetError(name, where, f"area should be above 0, found {area}")
        origin["area"] = area
    return Person(
        image=files.image_path(folder, images[image_id], name, where),
        joints_img=joints_img,
        box_img=files.box(x, y, width, height, name, where),
        visible=np.where(labelled, v - 1, -1).astype(np.int8),
        origin=origin,
    )

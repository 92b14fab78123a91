"""A COCO folder of drawn figures whose sides the bundled student knows, with planted faults."""

import json
from pathlib import Path
from typing import Any

from PIL import Image, ImageEnhance

from model.data.person import Person
from model.data.synthetic import draw_people
from model.skeletons import MPII16

FIGURES = {"train": (4, 15, 27, 42, 47), "valid": (21, 58)}
"""By their places among those of seed 0."""
SWAPPED, MISSING, BROKEN, COPIED, ALIKE = 47, 15, 27, 4, 42


def name_of(figure: int) -> str:
    return f"figure{figure}.jpg"


def write_drawn(folder: Path, *, faults: bool) -> None:
    """faults: whether figure SWAPPED has its knees exchanged, MISSING no file, BROKEN half of one,
    and whether COPIED is in both splits byte by byte and ALIKE darker and pressed harder.
    """
    (folder / "annotations").mkdir(parents=True)
    images = folder / "images"
    images.mkdir()
    rows = {
        split: [(name_of(figure), _figure(figure)) for figure in figures]
        for split, figures in FIGURES.items()
    }
    for name, person in (row for some in rows.values() for row in some):
        assert person.pixels is not None
        Image.fromarray(person.pixels).save(images / name, quality=95)
    if faults:
        rows["valid"] += [("copied.jpg", _figure(COPIED)), ("alike.jpg", _figure(ALIKE))]
        (images / "copied.jpg").write_bytes((images / name_of(COPIED)).read_bytes())
        with Image.open(images / name_of(ALIKE)) as image:
            ImageEnhance.Brightness(image).enhance(0.8).save(images / "alike.jpg", quality=40)
        (images / name_of(MISSING)).unlink()
        broken = images / name_of(BROKEN)
        broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    for split, people in rows.items():
        labels = [
            _annotation(i, person, swapped=faults and name == name_of(SWAPPED))
            for i, (name, person) in enumerate(people)
        ]
        content = {
            "categories": [
                {"id": 1, "name": "person", "keypoints": list(MPII16.joints), "skeleton": []}
            ],
            "images": [{"id": i, "file_name": name} for i, (name, _) in enumerate(people)],
            "annotations": labels,
        }
        file = folder / "annotations" / f"person_keypoints_{split}.json"
        file.write_text(json.dumps(content))


def _figure(place: int) -> Person:
    return draw_people(1, first=place, seed=0, size_px=192)[0]


def _annotation(i: int, person: Person, *, swapped: bool) -> dict[str, Any]:
    joints = person.joints_img.copy()
    joints[:, 2] = 2 * person.labelled
    if swapped:
        left, right = MPII16.index("left_knee"), MPII16.index("right_knee")
        joints[[left, right]] = joints[[right, left]]
    return {
        "id": i,
        "image_id": i,
        "category_id": 1,
        "bbox": person.box_img.as_list(),
        "keypoints": joints.ravel().tolist(),
    }

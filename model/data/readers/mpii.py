"""MPII Human Pose: `annot/<split>.json`, `annot/gt_<split>.mat` and `images/`, 16 joints.

Andriluka et al., CVPR 2014, in the form that the HRNet line and OKDHP publish: one row a person
with image, center, scale (person about 200·scale pixels tall), joints `(16, 2)` and joints_vis.
Coordinates are MATLAB's in both files, the first pixel's centre at (1, 1): one is subtracted.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.person import Person
from model.data.readers import files
from model.data.readers.labelled import LabelledSet
from model.errors import DatasetError
from model.geometry import Box
from model.skeletons import MPII16

_K: Final = len(MPII16)
_PX_PER_SCALE: Final = 200
_HEAD_BIAS: Final = 0.6  # PCKh's head size is 0.6 of the head box's diagonal (SC_BIAS)


def read_mpii(path: Path, split: str | None) -> LabelledSet:
    """The people of an MPII folder, in the json's order.

    path: the folder of `annot` and `images`. split: the stem of a json in `annot`, or None for all.
    Where `gt_<split>.mat` is there, joints and head sizes are the official evaluation's.
    Raises DatasetError.
    """
    splits = files.chosen_splits(split, mpii_splits(path), f"{path.absolute().name}/annot")
    people = [person for name in splits for person in _read_split(path, name)]
    return LabelledSet(
        name=f"mpii:{split or 'all'}",
        skeleton=MPII16,
        people=people,
        source=f"mpii:{path}" + (f":{split}" if split else ""),
    )


def mpii_splits(path: Path) -> tuple[str, ...]:
    """The splits of a folder: the json files of `annot`."""
    return tuple(sorted(file.stem for file in (path / "annot").glob("*.json")))


def _read_split(path: Path, split: str) -> list[Person]:
    file = path / "annot" / f"{split}.json"
    name = files.shown(file, path)
    rows = files.read_json(file, name)
    if not isinstance(rows, list):
        raise DatasetError(name, None, f"should be a list of people, found {type(rows).__name__}")
    folder = path / "images"
    people = [_person(row, folder, name, i) for i, row in enumerate(rows)]
    truth = path / "annot" / f"gt_{split}.mat"
    if truth.exists():
        people = _with_truth(people, truth, files.shown(truth, path))
    return people


def _person(row: Any, folder: Path, name: str, i: int) -> Person:
    labelled = files.numbers(
        files.field(row, "joints_vis", name, i), "joints_vis", name, i, shape=(_K,)
    )
    joints = files.numbers(files.field(row, "joints", name, i), "joints", name, i, shape=(_K, 2))
    return Person(
        image=files.image_path(folder, files.field(row, "image", name, i), name, i),
        joints_img=_joints_img(joints, labelled > 0, name, i),
        box_img=_box(row, name, i),
    )


def _box(row: Any, name: str, i: int) -> Box:
    """The square of 200·scale pixels around the center.

    The benchmark's codes then move it 15·scale down and enlarge it by 1.25: that is how they crop,
    not what the file says.
    """
    center = files.numbers(files.field(row, "center", name, i), "center", name, i, shape=(2,))
    scale = float(files.numbers(files.field(row, "scale", name, i), "scale", name, i, shape=()))
    side = _PX_PER_SCALE * scale
    x, y = center - 1 - (side - 1) / 2
    return files.box(float(x), float(y), side, side, name, i)


def _joints_img(
    joints: NDArray[np.float64], labelled: NDArray[np.bool_], name: str, i: int
) -> NDArray[np.float32]:
    """MATLAB's `[16, 2]` to `[16, 3]` of ours."""
    bad = labelled & ~np.isfinite(joints).all(-1)
    if bad.any():
        raise DatasetError(name, i, f"{MPII16.joints[int(bad.argmax())]} is not a finite number")
    joints_img = np.zeros((_K, 3), np.float32)
    joints_img[labelled, :2] = joints[labelled] - 1
    joints_img[labelled, 2] = 1
    return joints_img


def _with_truth(people: list[Person], file: Path, name: str) -> list[Person]:
    """The people with joints and head sizes of the evaluation's own file, in the same order."""
    content = files.read_mat(file, name)
    N = len(people)
    arrays = {}
    for key, shape in (
        ("pos_gt_src", (_K, 2, N)),
        ("jnt_missing", (_K, N)),
        ("headboxes_src", (2, 2, N)),
    ):
        value = files.variable(content, key, name)
        if value.ndim == len(shape) - 1:
            value = value[..., None]  # MATLAB drops the last axis of a single person
        if value.shape != shape:
            raise DatasetError(
                name, None, f"{key} should have the shape {shape} as the json, found {value.shape}"
            )
        arrays[key] = value
    head_px = _HEAD_BIAS * np.linalg.norm(
        arrays["headboxes_src"][1] - arrays["headboxes_src"][0], axis=0
    )
    known = []
    for i, person in enumerate(people):
        if not head_px[i] > 0:
            raise DatasetError(name, i, f"head box has the size {head_px[i]}, not above 0")
        known.append(
            Person(
                image=person.image,
                joints_img=_joints_img(
                    arrays["pos_gt_src"][:, :, i], arrays["jnt_missing"][:, i] == 0, name, i
                ),
                box_img=person.box_img,
                head_px=float(head_px[i]),
            )
        )
    return known

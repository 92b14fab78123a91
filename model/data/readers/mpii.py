"""MPII Human Pose: `annot/<split>.json`, `annot/gt_<split>.mat` and `images/`, 16 joints.

Andriluka et al., CVPR 2014, in the form that the HRNet line and OKDHP publish: one row a person
with image, center, scale (person about 200·scale pixels tall), joints `(16, 2)` and joints_vis.

The published labels are MATLAB's whole pixels, the first at (1, 1): one is subtracted. Where most
are no whole numbers somebody scaled the photographs and took the labels along; such copies are
taken to count from the first pixel's centre, as ours. For the one in ../shared/data that was
measured (`benchmarks/label_offset.py`): its limbs lie 0.2 px beside the labels as they stand, and
1.2 px beside them less one.
"""

from dataclasses import replace
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
    where = f"{path.absolute().name}/annot"
    splits = files.chosen_splits(split, mpii_splits(path), where)
    if not splits:
        raise DatasetError(where, None, "has no <split>.json")
    return LabelledSet(
        name=f"mpii:{split or '+'.join(splits)}",
        skeleton=MPII16,
        people=[person for name in splits for person in _read_split(path, name)],
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
    joints = np.array([_numbers(row, "joints", (_K, 2), name, i) for i, row in enumerate(rows)])
    vis = np.array([_numbers(row, "joints_vis", (_K,), name, i) for i, row in enumerate(rows)])
    first_px = _first_px(joints[vis > 0]) if rows else 0
    people = [
        Person(
            image=files.image_path(path / "images", files.field(row, "image", name, i), name, i),
            joints_img=_joints_img(joints[i] - first_px, vis[i] > 0, name, i),
            box_img=_box(row, first_px, name, i),
        )
        for i, row in enumerate(rows)
    ]
    truth = path / "annot" / f"gt_{split}.mat"
    if truth.exists():
        people = _with_truth(people, first_px, truth, files.shown(truth, path))
    return people


def _numbers(row: Any, key: str, shape: tuple[int, ...], name: str, i: int) -> NDArray[np.float64]:
    return files.numbers(files.field(row, key, name, i), key, name, i, shape=shape)


def _first_px(points: NDArray[np.float64]) -> int:
    """What the file calls the first pixel: 1 as published, 0 where `points` `[P, 2]` are scaled.

    Most decides, not all: the published head tops and necks were computed and are fractions.
    """
    return int((points == np.round(points)).mean() > 0.5) if len(points) else 0


def _box(row: Any, first_px: int, name: str, i: int) -> Box:
    """The square of 200·scale pixels around the center.

    The benchmark's codes then move it 15·scale down and enlarge it by 1.25. That is how they crop,
    not what the file says; and it moves away from the joints' own middle, which in ../shared/data
    already lies above the center (valid, by 4·scale in the mean).
    """
    center = _numbers(row, "center", (2,), name, i) - first_px
    side = _PX_PER_SCALE * float(_numbers(row, "scale", (), name, i))
    x, y = center - (side - 1) / 2
    return files.box(float(x), float(y), side, side, name, i)


def _joints_img(
    joints: NDArray[np.float64], labelled: NDArray[np.bool_], name: str, i: int
) -> NDArray[np.float32]:
    """Points `[16, 2]` and which are labelled `[16]` as `[16, 3]`."""
    bad = labelled & ~files.is_place(joints)
    if bad.any():
        raise DatasetError(
            name, i, f"{MPII16.joints[int(bad.argmax())]} has coordinates that are not a place"
        )
    joints_img = np.zeros((_K, 3), np.float32)
    joints_img[labelled, :2] = joints[labelled]
    joints_img[labelled, 2] = 1
    return joints_img


def _with_truth(people: list[Person], first_px: int, file: Path, name: str) -> list[Person]:
    """The people with joints and head sizes of the evaluation's own file, in the same order."""
    N = len(people)
    content = files.read_mat(file, name)

    def array(key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        value = files.variable(content, key, name)
        if value.ndim == len(shape) - 1:
            value = value[..., None]  # MATLAB drops the last axis of a single person
        if value.shape != shape:
            raise DatasetError(
                name, None, f"{key} should have the shape {shape} as the json, found {value.shape}"
            )
        return value

    joints = array("pos_gt_src", (_K, 2, N)) - first_px
    labelled = array("jnt_missing", (_K, N)) == 0
    corners = array("headboxes_src", (2, 2, N))
    head_px = _HEAD_BIAS * np.linalg.norm(corners[1] - corners[0], axis=0)
    for i in range(N):
        if not 0 < head_px[i] < np.inf:
            raise DatasetError(name, i, f"head box has the size {head_px[i]}, not above 0")
    return [
        replace(
            person,
            joints_img=_joints_img(joints[:, :, i], labelled[:, i], name, i),
            head_px=float(head_px[i]),
        )
        for i, person in enumerate(people)
    ]

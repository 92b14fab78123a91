"""Leeds Sports Pose (LSP) and its extension (LSPET): `joints.mat` and `images/`, 14 joints.

Johnson & Everingham, BMVC 2010 and CVPR 2011. The two are told apart by the shape as published:
LSP `(3, 14, N)`, where flag 1 means that a joint is hidden and all are labelled; LSPET
`(14, 3, N)`, where flag 1 means that it is labelled. Row i belongs to image i + 1.

Where the first pixel's centre lies is not published, and other readers subtract one for MATLAB's
sake. Measured by how limbs lie around their labelled lines (`benchmarks/label_offset.py`), LSP's
origin is the corner of the image, as labels have that were scaled down with their photographs:
half a pixel is subtracted. LSPET's is the first pixel's centre, as ours.
"""

import re
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from model.data.person import Person
from model.data.readers import files
from model.data.readers.labelled import LabelledSet
from model.errors import DatasetError
from model.geometry import Box
from model.skeletons import LSP14

_K: Final = len(LSP14)
_LSP_ORIGIN_PX: Final = 0.5
_NAME: Final = re.compile(r"im(\d{1,9})\.\w+")


def read_lsp(path: Path, split: str | None) -> LabelledSet:
    """The people of an LSP or LSPET folder.

    path: the folder of `joints.mat`. split: the stem of a list of image names beside it
    (`valid.txt`), or None for every row. People without any labelled joint are left out (LSPET).
    Raises DatasetError.
    """
    file = path / "joints.mat"
    name = files.shown(file, path)
    joints = files.variable(files.read_mat(file, name), "joints", name)
    if joints.ndim == 2:
        joints = joints[:, :, None]  # MATLAB drops the last axis of a single person
    if joints.ndim == 3 and joints.shape[:2] == (3, _K):
        extended, rows = False, joints.transpose(2, 1, 0)
    elif joints.ndim == 3 and joints.shape[:2] == (_K, 3):
        extended, rows = True, joints.transpose(2, 0, 1)
    else:
        raise DatasetError(
            name,
            None,
            f"joints should have the shape (3, 14, N) or (14, 3, N), found {joints.shape}",
        )

    if split is None:
        digits = 5 if extended else 4
        images = [(i, f"im{i + 1:0{digits}d}.jpg") for i in range(len(rows))]
    else:
        files.chosen_splits(split, lsp_splits(path), path.absolute().name)
        images = _listed(path / f"{split}.txt", path, len(rows))
    chosen = np.array([i for i, _ in images], np.int64)
    joints_img, visible = _convert(rows[chosen], extended, images, name)

    folder = path / "images"
    people = []
    for person, seen, (_, image) in zip(joints_img, visible, images, strict=True):
        labelled = person[person[:, 2] > 0, :2]
        if len(labelled):
            people.append(
                Person(
                    image=folder / image,
                    joints_img=person,
                    box_img=Box.around(labelled),
                    visible=None if extended else seen,
                )
            )
    return LabelledSet(
        name=f"{'lspet' if extended else 'lsp'}:{split or 'all'}",
        skeleton=LSP14,
        people=people,
        source=f"lsp:{path}" + (f":{split}" if split else ""),
    )


def lsp_splits(path: Path) -> tuple[str, ...]:
    """The splits of a folder: the lists beside `joints.mat`."""
    return tuple(sorted(file.stem for file in path.glob("*.txt") if file.stem != "README"))


def _listed(file: Path, root: Path, count: int) -> list[tuple[int, str]]:
    """Row and image name for each line of a split's list."""
    name = files.shown(file, root)
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(name, None, f"cannot be read ({error})") from None
    listed = []
    for number, line in enumerate(lines, 1):
        if not (image := line.strip()):
            continue
        match = _NAME.fullmatch(image)
        if match is None:
            raise DatasetError(name, number, f"{image!r} is not an image name as im0001.jpg")
        row = int(match[1]) - 1
        if not 0 <= row < count:
            raise DatasetError(
                name, number, f"{image} is out of range: joints.mat has {count} rows"
            )
        listed.append((row, image))
    return listed


def _convert(
    rows: NDArray[np.float64], extended: bool, images: list[tuple[int, str]], name: str
) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Rows `[N, 14, 3]` as published to joints_img `[N, 14, 3]` and visible `[N, 14]`."""
    flag = rows[:, :, 2]

    def refuse(bad: NDArray[np.bool_], fault: str) -> None:
        """Raises for the first person and joint that are bad `[N, 14]`."""
        if bad.any():
            n, k = np.argwhere(bad)[0]
            row, image = images[n]
            raise DatasetError(name, f"{row} ({image})", f"{LSP14.joints[k]} {fault}")

    refuse((flag != 0) & (flag != 1), "has a flag that is neither 0 nor 1")
    labelled = flag == 1 if extended else np.ones_like(flag, np.bool_)
    refuse(labelled & ~files.is_place(rows[:, :, :2]), "has coordinates that are not a place")
    joints_img = np.zeros(rows.shape, np.float32)
    joints_img[labelled, :2] = rows[labelled, :2] - (0 if extended else _LSP_ORIGIN_PX)
    joints_img[labelled, 2] = 1
    return joints_img, (1 - flag).astype(np.int8)

"""Archives as people and attackers make them."""

import io
import stat
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np
from PIL import Image
from scipy.io import savemat

COCO_NAMES = ["nose", "left_eye", "right_eye"]


def jpeg(seed: int, size: tuple[int, int] = (64, 80)) -> bytes:
    """A picture of its own: coarse noise, as seen through frosted glass."""
    cells = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(cells).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def lsp_files() -> dict[str, bytes]:
    """Three people in LSP's layout, one of them for validation."""
    joints = np.zeros((3, 14, 3))
    joints[0] = np.linspace(20, 40, 14)[:, None]
    joints[1] = np.linspace(10, 60, 14)[:, None]
    labels = io.BytesIO()
    savemat(labels, {"joints": joints})
    dated = labels.getvalue()  # else the same set would be another one a second later
    return {
        "joints.mat": b"MATLAB 5.0 MAT-file".ljust(116) + dated[116:],
        "train.txt": b"im0001.jpg\nim0002.jpg\n",
        "valid.txt": b"im0003.jpg\n",
        **{f"images/im{i:04d}.jpg": jpeg(i) for i in (1, 2, 3)},
    }


def mpii_files() -> dict[str, bytes]:
    """Two people of MPII's 16 joints, a split each."""
    rows = {
        split: f'[{{"image": "{split}.jpg", "center": [32, 40], "scale": 0.3, '
        f'"joints": {[[20 + k, 10 + 3 * k] for k in range(16)]}, "joints_vis": {[1] * 16}}}]'
        for split in ("train", "valid")
    }
    return {
        **{f"annot/{split}.json": text.encode() for split, text in rows.items()},
        **{f"images/{split}.jpg": jpeg(i) for i, split in enumerate(rows)},
    }


def coco_files(people: int = 2) -> dict[str, bytes]:
    """Some people of three joints in COCO's layout."""
    rows = range(people)
    images = ", ".join(f'{{"id": {i}, "file_name": "{i}.jpg"}}' for i in rows)
    labels = ", ".join(
        f'{{"id": {i}, "image_id": {i}, "category_id": 1, "bbox": [4, 4, 40, 60], '
        f'"keypoints": [20, 10, 2, 24, 8, 2, 16, 8, 2]}}'
        for i in rows
    )
    names = str(COCO_NAMES).replace("'", '"')
    text = (
        f'{{"categories": [{{"id": 1, "name": "person", "keypoints": {names}, "skeleton": []}}], '
        f'"images": [{images}], "annotations": [{labels}]}}'
    )
    return {
        "annotations/person_keypoints_train.json": text.encode(),
        **{f"images/{i}.jpg": jpeg(i) for i in rows},
    }


def zipped(files: dict[str, bytes], below: str = "") -> bytes:
    """An archive of files, with the names as they are given."""
    file = io.BytesIO()
    with ZipFile(file, "w", ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(below + name, data)
    return file.getvalue()


def with_entry(name: str, data: bytes = b"x", *, mode: int = 0) -> bytes:
    """A good set, and one entry more."""
    file = io.BytesIO(zipped(lsp_files()))
    with ZipFile(file, "a", ZIP_DEFLATED) as archive:
        entry = ZipInfo(name)
        entry.filename = name  # ZipInfo cleans it
        entry.external_attr = mode << 16
        entry.compress_type = ZIP_DEFLATED
        archive.writestr(entry, data)
    return file.getvalue()


LINK = stat.S_IFLNK | 0o777
DEVICE = stat.S_IFCHR | 0o666
PIPE = stat.S_IFIFO | 0o666


def patched(archive: bytes, name: str, *, at: tuple[int, int], value: bytes) -> bytes:
    """The archive with bytes of an entry's two headers replaced.

    at: where they stand in the local and in the central one (APPNOTE 4.3.7, 4.3.12).
    """
    changed = bytearray(archive)
    local = archive.index(name.encode()) - 30
    central = archive.rindex(name.encode()) - 46
    for start in (local + at[0], central + at[1]):
        changed[start : start + len(value)] = value
    return bytes(changed)


def write(folder: Path, files: dict[str, bytes]) -> None:
    """The files on the disk, for a set that is registered by its path."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

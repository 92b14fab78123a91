"""Packs, as `okdhp data pack` writes them: every split of a set is one ZIP of people cut out.

    <set>/<split>.zip    about.json, joints.npy, boxes.npy, head_px.npy, visible.npy, places.npy,
                         pictures/000000.avif, 000001.avif, …: one a person, stored as they are

Arrays have a row a person, in the order of the set that was packed: joints float32 `[P, K, 3]`,
boxes float64 `[P, 4]`, head_px float64 `[P]` (NaN for none), visible int8 `[P, K]` (left out where
the set does not say), all in the picture's pixels; places float64 `[P, 3]`: px, x, y of
`Person.cutting`. Coordinates count from the first pixel's centre, as ours.
"""

import io
import zlib
from pathlib import Path
from typing import IO, Any, Final, Literal
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from model.data.person import Cutting, Person
from model.data.readers import files
from model.data.readers.labelled import LabelledSet, Packed
from model.errors import DatasetError
from model.skeletons import Skeleton, from_description

ABOUT: Final = "about.json"
PICTURE: Final = "pictures/{:06}.avif"
_LOCAL_HEADER: Final = 30  # bytes of a ZIP entry's header before its name (APPNOTE 4.3.7)


class About(BaseModel):
    """What a pack's arrays do not hold. photos and origins: one a person."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str
    packed: Packed
    skeleton: dict[str, Any]
    photos: list[str]
    origins: list[dict[str, Any]]


def read_pack(path: Path, split: str | None) -> LabelledSet:
    """The people of a packed set, in the packed set's order and skeleton.

    path: the set's folder, or one of its files (split is then None). split: the stem of a file, or
    None for all. Raises DatasetError.
    """
    splits: tuple[str, ...]
    if path.suffix == ".zip":
        if split is not None:
            raise DatasetError(path.name, None, f"is one file: no split {split!r} can be chosen")
        root, splits = path.absolute().parent, (path.stem,)
    else:
        root = path.absolute()
        splits = files.chosen_splits(split, pack_splits(path), root.name)
    if not splits:
        sets = sorted({file.parent.name for file in path.glob("*/*.zip")})
        hint = f"; it holds the packed sets {', '.join(sets)}" if sets else ""
        raise DatasetError(root.name, None, f"has no <split>.zip{hint}")
    abouts, people = [], []
    for name in splits:
        about, some = _read_file(root / f"{name}.zip")
        abouts.append(about)
        people += some
        if about.skeleton != abouts[0].skeleton:
            raise DatasetError(
                f"{root.name}/{name}.zip", None, "has another skeleton than the split before it"
            )
    return LabelledSet(
        name=abouts[0].name if len(abouts) == 1 else f"{root.name}:{'+'.join(splits)}",
        skeleton=from_description(abouts[0].skeleton),
        people=people,
        source=f"pack:{path}" + (f":{split}" if split else ""),
        packed=tuple(about.packed for about in abouts),
    )


def pack_splits(path: Path) -> tuple[str, ...]:
    """The splits of a packed set's folder: its ZIP files."""
    return tuple(sorted(file.stem for file in path.glob("*.zip")))


def read_about(file: Path) -> About:
    """What a pack says of itself. Raises DatasetError."""
    return _opened(file)[0]


def _read_file(file: Path) -> tuple[About, list[Person]]:
    name = files.shown(file, file.parent)
    about, skeleton, arrays, stored = _opened(file)
    P, K = len(about.photos), len(skeleton)
    joints = _shaped(arrays, "joints", (P, K, 3), "<f4", name)
    boxes = _shaped(arrays, "boxes", (P, 4), "<f8", name)
    head_px = _shaped(arrays, "head_px", (P,), "<f8", name)
    places = _shaped(arrays, "places", (P, 3), "<f8", name)
    visible = _shaped(arrays, "visible", (P, K), "|i1", name) if "visible" in arrays else None

    def refuse(bad: Any, fault: str) -> None:
        """Raises for the first person that is bad `[P]`."""
        if bad.any():
            raise DatasetError(name, int(bad.argmax()), fault)

    flag = joints[..., 2]
    refuse(~np.isin(flag, (0, 1)).all(-1), "a joint has a flag that is neither 0 nor 1")
    unplaced = (flag > 0) & ~files.is_place(joints[..., :2].astype(np.float64))
    refuse(unplaced.any(-1), "a joint has coordinates that are not a place")
    refuse(~(np.isnan(head_px) | (head_px > 0)), "the head's size is not above 0")
    refuse(~(np.isfinite(places).all(-1) & (places[:, 0] > 0)), "the place in the photograph")
    if visible is not None:
        refuse(~np.isin(visible, (-1, 0, 1)).all(-1), "visible holds something but -1, 0 and 1")
    people = []
    for row in range(P):
        if row not in stored:
            raise DatasetError(name, row, "the picture is missing")
        x, y, width, height = boxes[row].tolist()
        people.append(
            Person(
                image=file,
                joints_img=joints[row],
                box_img=files.box(x, y, width, height, name, row),
                head_px=None if np.isnan(head_px[row]) else float(head_px[row]),
                visible=None if visible is None else visible[row],
                origin=about.origins[row],
                cutting=Cutting(row, *stored[row], about.photos[row], *places[row].tolist()),
            )
        )
    return about, people


def _opened(
    file: Path,
) -> tuple[About, Skeleton, dict[str, NDArray[Any]], dict[int, tuple[int, int, int]]]:
    """What is in a file: arrays by name, and of every picture by row first byte, bytes and CRC."""
    name = files.shown(file, file.parent)
    try:
        with file.open("rb") as opened, ZipFile(opened) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            about = About.model_validate_json(archive.read(ABOUT))
            skeleton = from_description(about.skeleton)
            arrays = {
                entry.removesuffix(".npy"): np.load(
                    io.BytesIO(archive.read(entry)), allow_pickle=False
                )
                for entry in entries
                if entry.endswith(".npy")
            }
            stored = {
                row: _place(opened, entries[PICTURE.format(row)])
                for row in range(len(about.photos))
                if PICTURE.format(row) in entries
            }
    except OSError as error:
        raise DatasetError(name, None, f"cannot be read ({error.strerror})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DatasetError(name, None, f"{ABOUT}: {where}: {first['msg']}") from None
    # What zipfile and NumPy raise on damaged files; and unknown ways to pack or to encrypt.
    except (BadZipFile, KeyError, TypeError, ValueError, EOFError, RuntimeError, zlib.error) as e:
        raise DatasetError(name, None, f"is no pack, damaged or cut short: {e}") from None
    if len(about.origins) != len(about.photos):
        raise DatasetError(name, None, f"{ABOUT}: photos and origins should be equally many")
    return about, skeleton, arrays, stored


def _place(opened: IO[bytes], entry: ZipInfo) -> tuple[int, int, int]:
    """First byte, bytes and CRC-32 of a picture. Raises BadZipFile when it is not stored as is."""
    if entry.compress_type != ZIP_STORED:
        raise BadZipFile(f"{entry.filename} should be stored, not compressed once more")
    opened.seek(entry.header_offset)
    header = opened.read(_LOCAL_HEADER)
    if len(header) < _LOCAL_HEADER:
        raise BadZipFile(f"{entry.filename} lies beyond the file's end")
    before = sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))  # name, extra
    return entry.header_offset + _LOCAL_HEADER + before, entry.file_size, entry.CRC


def _shaped(
    arrays: dict[str, NDArray[Any]], key: str, shape: tuple[int, ...], dtype: str, name: str
) -> NDArray[Any]:
    if key not in arrays:
        raise DatasetError(name, None, f"lacks {key}.npy")
    found = arrays[key]
    if (found.shape, found.dtype.str) != (shape, dtype):
        raise DatasetError(
            name,
            None,
            f"{key}.npy should be {dtype} {shape}, found {found.dtype.str} {found.shape}",
        )
    return found

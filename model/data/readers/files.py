"""Opening a set's files: whatever is wrong with one becomes a DatasetError that names it.

Files are named from the set's own folder on (`lsp/joints.mat`): the text may reach a person who
must not learn where the server keeps them.
"""

import json
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from model.data.readers.mat import read_arrays
from model.errors import BoxInvalid, DatasetError
from model.geometry import Box

_FARTHEST_PX: Final = 1e6
"""No photograph reaches there; what does would only break arithmetic later."""


def shown(file: Path, root: Path) -> str:
    """A file's name in messages: from the set's folder on."""
    return str(root.absolute().name / file.absolute().relative_to(root.absolute()))


def read_json(file: Path, name: str) -> Any:
    """The content of a JSON file. Raises DatasetError when it is missing or broken."""
    try:
        return json.loads(file.read_bytes())
    except OSError as error:
        raise DatasetError(name, None, f"cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:  # bad syntax, or bytes that are not UTF-8
        raise DatasetError(name, None, f"is not valid JSON: {error}") from None


def read_mat(file: Path, name: str) -> dict[str, NDArray[Any] | None]:
    """The variables of a MATLAB file. Raises DatasetError when it is missing or broken."""
    try:
        return read_arrays(file.read_bytes())
    except OSError as error:
        raise DatasetError(name, None, f"cannot be read ({error.strerror})") from None
    except (ValueError, zlib.error) as error:
        raise DatasetError(name, None, f"is not a readable MATLAB file: {error}") from None


def variable(content: dict[str, NDArray[Any] | None], key: str, name: str) -> NDArray[np.float64]:
    """A numeric variable of a MATLAB file as float64. Raises DatasetError."""
    if key not in content:
        there = ", ".join(content) or "none"
        raise DatasetError(name, None, f"has no variable {key!r}; there are: {there}")
    return numbers(content[key], key, name, None)


def field(row: Any, key: str, name: str, where: int | str) -> Any:
    """A row's value under a key. Raises DatasetError when the row is no object or lacks it."""
    if not isinstance(row, dict):
        raise DatasetError(name, where, f"should be an object, found {type(row).__name__}")
    if key not in row:
        raise DatasetError(name, where, f"lacks the key {key!r}")
    return row[key]


def numbers(
    value: Any, what: str, name: str, where: int | str | None, shape: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """A nested list or array as float64 of the shape (any, when None); may hold NaN.

    Raises DatasetError for anything that is not a number (text that looks like one included).
    """
    try:
        array = np.asarray(value)
    except ValueError:  # rows of different lengths
        raise DatasetError(name, where, f"{what} has rows of different lengths") from None
    if array.dtype.kind not in "iufb" and array.size:
        raise DatasetError(name, where, f"{what} holds something that is not a number")
    if shape is not None and array.shape != shape:
        raise DatasetError(
            name, where, f"{what} should have the shape {shape}, found {array.shape}"
        )
    return array.astype(np.float64)


def is_place(points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points `[…, 2]` are numbers that a photograph's coordinates can be: `[…]`."""
    return np.asarray((np.abs(points) < _FARTHEST_PX).all(-1))  # NaN compares false


def box(x: float, y: float, width: float, height: float, name: str, where: int | str) -> Box:
    """A person's box. Raises DatasetError when it has no area or cannot be on a photograph."""
    if not is_place(np.array([[x, y], [width, height]])).all():
        raise DatasetError(name, where, f"box {[x, y, width, height]} is not on any photograph")
    try:
        return Box(x, y, width, height)
    except BoxInvalid as error:
        raise DatasetError(name, where, str(error)) from None


def image_path(folder: Path, image: Any, name: str, where: int | str) -> Path:
    """Where an image lies. Raises DatasetError when its name would lead out of the folder."""
    if not isinstance(image, str) or not image or "\0" in image:
        raise DatasetError(name, where, f"{image!r} is not an image's name")
    path = PurePosixPath(image)
    # A backslash or a drive would be a way out on Windows only; no set of ours has one.
    if path.is_absolute() or ".." in path.parts or "\\" in image or ":" in image:
        raise DatasetError(name, where, f"image name {image!r} leads out of the images' folder")
    return folder / path


def chosen_splits(split: str | None, there: tuple[str, ...], name: str) -> tuple[str, ...]:
    """The splits to read: the one asked for, or all. Raises DatasetError saying which there are.

    A split is looked up among the files found, never put into a path: it may come from a stranger.
    """
    if split is None:
        return there
    if split not in there:
        raise DatasetError(
            name, None, f"has no split {split!r}; there are: {', '.join(there) or 'none'}"
        )
    return (split,)

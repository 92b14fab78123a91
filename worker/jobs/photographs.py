"""The photographs of a folder, a ZIP or a data set, each with the boxes of its people.

Nothing is unpacked: entries of a ZIP are read one by one, within a bound, whatever it says of them.
"""

import threading
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile

from PIL import Image

from model.config import SourceConfig
from model.data.mixture import open_source
from model.data.packing import picture_of
from model.data.person import Person
from model.errors import DatasetError, ImageUnreadable
from model.geometry import Box
from model.images import MAX_BYTES, open_image
from worker.paths import inside

SUFFIXES: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")
"""By these a file is taken for one of `model.images.FORMATS`."""
_METHODS: Final = (ZIP_STORED, ZIP_DEFLATED)
_BROKEN: Final = (BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError)
"""What zipfile raises on damaged and encrypted entries."""


class Photographs(ABC):
    """Names are fixed when it is opened; pictures are read when they are asked for, by threads."""

    def __init__(self, names: Iterable[str], ignored: int = 0) -> None:
        """names: in their order. ignored: how many files are no pictures by their names."""
        self.names, self.ignored = list(names), ignored
        self._known = frozenset(self.names)

    def read(self, name: str) -> Image.Image:
        """The upright picture of one of `names`, RGB.

        Raises ImageUnreadable (also for other names, wherever they would lead), ImageTooLarge,
        DatasetError.
        """
        if name not in self._known:
            raise ImageUnreadable("there is no such photograph, or several whose names end so")
        return self._read(name)

    @abstractmethod
    def _read(self, name: str) -> Image.Image:
        """The same of a name that is known."""

    def boxes_of(self, name: str) -> tuple[Box, ...] | None:
        """Those that the photographs' own labels give; None where they have none."""
        return None

    def beside(self, name: str) -> bytes:
        """Any file of the folder or ZIP. Raises DatasetError."""
        raise DatasetError(name, None, "is no file of the data set's photographs")


class _Folder(Photographs):
    def __init__(self, root: Path) -> None:
        self._root = root
        files = sorted(
            path.relative_to(root).as_posix()
            for path in root.rglob("*")
            if not any(part.startswith(".") for part in path.relative_to(root).parts)
            and path.is_file()
        )
        super().__init__(*_pictures(files))

    def _read(self, name: str) -> Image.Image:
        try:
            return open_image(_content(self._root / name))
        except OSError as error:
            raise ImageUnreadable(error.strerror or "cannot be read") from None

    def beside(self, name: str) -> bytes:
        try:
            return _content(inside(self._root, name))
        except OSError as error:
            raise DatasetError(name, None, error.strerror or "cannot be read") from None


class _Zip(Photographs):
    def __init__(self, zipped: ZipFile) -> None:
        self._zip = zipped
        self._reading = threading.Lock()
        files = sorted(
            entry.filename
            for entry in self._zip.infolist()
            if not entry.is_dir()
            and not any(
                part.startswith((".", "__MACOSX")) for part in PurePosixPath(entry.filename).parts
            )
        )
        super().__init__(*_pictures(files))

    def _read(self, name: str) -> Image.Image:
        try:
            return open_image(self._bytes(name))
        except _BROKEN as error:
            raise ImageUnreadable(f"its entry in the ZIP cannot be read: {error}") from None

    def beside(self, name: str) -> bytes:
        try:
            return self._bytes(name)
        except (KeyError, *_BROKEN):
            raise DatasetError(name, None, "is not in the ZIP, or cannot be read") from None

    def _bytes(self, name: str) -> bytes:
        entry = self._zip.getinfo(name)
        if entry.compress_type not in _METHODS:
            raise ImageUnreadable("its entry in the ZIP is compressed otherwise than by deflate")
        with self._reading, self._zip.open(entry) as file:
            content = file.read(MAX_BYTES + 1)  # its header may lie
        _check_size(len(content))
        return content


class _Labelled(Photographs):
    def __init__(self, source: SourceConfig) -> None:
        labelled = open_source(source)
        self._people: dict[str, list[Person]] = {}
        for person in labelled.people:
            self._people.setdefault(_name(person, source.path), []).append(person)
        super().__init__(self._people)

    def _read(self, name: str) -> Image.Image:
        return picture_of(self._people[name][0])

    def boxes_of(self, name: str) -> tuple[Box, ...]:
        return tuple(person.box_img for person in self._people[name])


@contextmanager
def opened(place: Mapping[str, Any]) -> Iterator[Photographs]:
    """place: `path` of a folder or ZIP on this host, or `data`, a source with this host's path.

    Raises DatasetError.
    """
    if place.get("data") is not None:
        yield _Labelled(SourceConfig.model_validate(place["data"]))
        return
    path = Path(place["path"])
    if path.is_dir():
        yield _Folder(path)
        return
    with _opened_zip(path) as zipped:
        yield _Zip(zipped)


def _opened_zip(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except _BROKEN:
        raise DatasetError(path.name, None, "is neither a folder nor a whole ZIP") from None


def _pictures(files: list[str]) -> tuple[list[str], int]:
    """Those that are pictures by their names, and how many others there are."""
    names = [f for f in files if PurePosixPath(f).suffix.lower() in SUFFIXES and is_text(f)]
    return names, len(files) - len(names)


def is_text(name: str) -> bool:
    """Whether it can be written down: a file system takes bytes that are no text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _content(path: Path) -> bytes:
    _check_size(path.stat().st_size)
    return path.read_bytes()


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ImageUnreadable(f"has more than {MAX_BYTES:,} bytes")


def _name(person: Person, root: Path | None) -> str:
    """What a person's picture is called within its set; no path of the server."""
    picture = person.picture
    if root is not None and picture.is_relative_to(root):
        return picture.relative_to(root).as_posix()
    return picture.name

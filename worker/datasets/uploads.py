"""An archive on its way in: a folder of its own that either becomes a set's or vanishes.

<data folder>/uploads/<id>.part   while bytes come, are unpacked and looked at
<data folder>/uploads/<id>        the files of a version

Every upload holds the folder's lock together with the others; who finds nobody holding it knows
that whatever is `.part` was left by a process that was killed.
"""

import errno
import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from uuid import uuid4

from model.files import told_when_full
from worker.datasets.archive import Unpacked, unpack
from worker.datasets.bounds import UploadBounds
from worker.datasets.layout import Layout, find_layout
from worker.datasets.room import RoomyFile
from worker.errors import ArchiveRefused, StoreUnusable

log = logging.getLogger(__name__)

UPLOADS: Final = "uploads"
"""Below the data folder; nothing in it can be registered by its path."""
_PART: Final = ".part"
_LOCK: Final = ".lock"
_ARCHIVE: Final = "archive.zip"
_READ_ONLY: Final = (errno.EACCES, errno.EPERM, errno.EROFS)


class Upload:
    """One archive; not safe to share between threads. Close it whatever happens."""

    def __init__(self, data_dir: Path, name: str, bounds: UploadBounds) -> None:
        """name: of the data set, as the readers' messages will have it.

        Raises StoreUnusable where the data folder cannot be written to, DiskFull.
        """
        self._data_dir, self._name, self._bounds = data_dir, name, bounds
        with _writable():
            self._lock = _lock_file(data_dir)
            fcntl.flock(self._lock, fcntl.LOCK_SH)
            self._folder = data_dir / UPLOADS / f"{uuid4().hex}{_PART}"
            self._folder.mkdir()
        self._bytes = 0
        self._archive = RoomyFile(self._folder / _ARCHIVE, bounds.free_bytes)

    def write(self, piece: bytes) -> None:
        """The archive's next bytes. Raises ArchiveRefused when they are too many, DiskFull."""
        self._bytes += len(piece)
        if self._bytes > self._bounds.max_bytes:
            raise ArchiveRefused(f"an archive may have {self._bounds.max_bytes:,} bytes")
        self._archive.write(piece)

    def unpack(self, format: str | None) -> tuple[Layout, Unpacked]:
        """Once all bytes are there. Raises ArchiveRefused, DiskFull, DatasetError."""
        self._archive.close()
        archive = self._folder / _ARCHIVE
        unpacked = unpack(archive, self._folder / self._name, self._bounds)
        archive.unlink()
        layout = find_layout(unpacked.files, format, "the archive")
        self._root = Path(self._name, layout.root)
        return layout, unpacked

    @property
    def folder(self) -> Path:
        """The set's own, after `unpack`."""
        return self._folder / self._root

    def keep(self) -> str:
        """Give the files their place, and tell it: the set's folder below the data folder."""
        os.sync()  # a row must not outlive a power cut that its files do not
        self._folder = self._folder.rename(self._folder.with_suffix(""))
        return self.folder.relative_to(self._data_dir).as_posix()

    def drop(self) -> None:
        """Take `keep` back."""
        if self._folder.suffix != _PART:
            self._folder = self._folder.rename(self._folder.with_suffix(_PART))

    def close(self) -> None:
        """Remove what was not kept."""
        self._archive.close()
        if self._folder.suffix == _PART:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._lock.close()


def remove(data_dir: Path, path: str) -> None:
    """Delete the files of a version. path: as `Upload.keep` gave it.

    A killed process leaves them as `.part`. Files that cannot be removed are logged and left.
    """
    folder = data_dir.joinpath(*Path(path).parts[:2])
    with suppress(FileNotFoundError):
        shutil.rmtree(folder.rename(folder.with_suffix(_PART)), onerror=_log_left)


def sweep(data_dir: Path) -> int:
    """Remove what killed processes left, unless an upload is in work; how many folders it was.

    Where the data folder may only be read, nothing.
    """
    if not (data_dir / UPLOADS).is_dir():
        return 0
    try:
        opened = _lock_file(data_dir)
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        return 0
    with opened as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        left = list((data_dir / UPLOADS).glob(f"*{_PART}"))
        for folder in left:
            shutil.rmtree(folder, onerror=_log_left)
    return len(left)


def _lock_file(data_dir: Path) -> IO[bytes]:
    (data_dir / UPLOADS).mkdir(parents=True, exist_ok=True)
    return (data_dir / UPLOADS / _LOCK).open("ab")


@contextmanager
def _writable() -> Iterator[None]:
    try:
        with told_when_full(UPLOADS):
            yield
    except OSError as error:
        if error.errno not in _READ_ONLY:
            raise
        raise StoreUnusable("this server may not write to its data folder") from error


def _log_left(function: object, path: str, error: object) -> None:
    log.warning("%s is left: it cannot be removed", path)

"""Unpacking a stranger's ZIP: whatever it says, its files land in one folder, within bounds.

Names are judged before anything is written. Sizes are counted while bytes come out, since headers
may lie about them. Links, devices and encrypted entries are refused, as are names that another
system would take for one.
"""

import hashlib
import io
import re
import stat
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from model.files import told_when_full
from worker.datasets.bounds import UploadBounds
from worker.datasets.room import RoomyFile
from worker.errors import ArchiveRefused

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_LONGEST: Final = 500
_LONGEST_PART: Final = 255  # bytes: what Linux's file systems take
_DEEPEST: Final = 16
_ENTRY_BYTES: Final = 160
"""Of an entry in the archive's own list, at most on average: it is read whole."""
_LISTED: Final = b"PK\1\2"  # begins such an entry (APPNOTE 4.3.12)
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000  # APPNOTE 4.4.4
_METHODS: Final = (ZIP_STORED, ZIP_DEFLATED)
"""The others, which hardly any set needs, pack a million to one."""
_SMALL: Final = 16 << 20
_PIECE: Final = 1 << 20
_LABELS: Final = (".json", ".mat", ".txt")
# What zipfile raises on damaged files; OSError: an offset before the file's begin.
_BROKEN: Final = (
    BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


class Unpacked(NamedTuple):
    """content: SHA-256 (hex) over the files' names and bytes, in no archive's order."""

    files: tuple[PurePosixPath, ...]
    content: str


def unpack(archive: Path, into: Path, bounds: UploadBounds) -> Unpacked:
    """Write an archive's files below a new folder.

    Raises ArchiveRefused, DiskFull; what was written until then is left for the caller to remove.
    """
    into.mkdir()
    packed_bytes = archive.stat().st_size
    with _opened(archive, bounds) as zipped:
        entries = _judged(zipped.infolist(), packed_bytes, bounds)
        meter = _Meter(packed_bytes, bounds)
        prints = []
        for path, entry in entries.items():
            target = into / path
            with told_when_full(target.name):
                target.parent.mkdir(parents=True, exist_ok=True)
            with closing(RoomyFile(target, bounds.free_bytes)) as file:
                prints.append(f"{path}\0{_write(zipped, entry, file, meter)}")
    content = hashlib.sha256("\n".join(sorted(prints)).encode()).hexdigest()
    return Unpacked(tuple(entries), content)


def inner_path(name: str) -> PurePosixPath:
    """Where an entry of this name belongs, below the folder. Raises ArchiveRefused."""
    path = PurePosixPath(name)
    fault = ""
    if not name.isprintable():
        fault = "its name has characters that cannot be shown"
    elif "\\" in name:
        fault = "its name has a backslash; accepted: folders parted by '/'"
    elif path.is_absolute() or _DRIVE.match(name):
        fault = "its name is an absolute path"
    elif ".." in path.parts:
        fault = "its name leads out of the archive ('..')"
    elif not path.parts:
        fault = "it has no name"
    elif len(name) > _LONGEST or any(len(p.encode()) > _LONGEST_PART for p in path.parts):
        fault = f"its name is longer than {_LONGEST} letters, or one folder's than {_LONGEST_PART}"
    elif len(path.parts) > _DEEPEST:
        fault = f"it lies more than {_DEEPEST} folders deep"
    if fault:
        raise _refused(name, fault)
    return path


@contextmanager
def _opened(archive: Path, bounds: UploadBounds) -> Iterator[ZipFile]:
    """Raises ArchiveRefused, also for what turns out to be damaged while it is read."""
    try:
        with _Wary(archive, bounds.max_files) as file, ZipFile(file) as zipped:
            yield zipped
    except _TooMuchToList:
        raise ArchiveRefused(f"the archive lists more than {bounds.max_files:,} files") from None
    except _BROKEN as fault:
        raise ArchiveRefused(f"the archive is no ZIP, damaged or cut short: {fault}") from None


class _TooMuchToList(Exception):
    """The archive's own list is larger than any accepted archive's."""


class _Wary(io.BufferedReader):
    """A file that gives no list of too many files: zipfile would make an object of each."""

    def __init__(self, path: Path, most: int) -> None:
        super().__init__(io.FileIO(path))
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > max(self._most * _ENTRY_BYTES, _PIECE):
            raise _TooMuchToList
        piece = super().read(size)
        if piece.count(_LISTED) > self._most:
            raise _TooMuchToList
        return piece


def _judged(
    entries: Sequence[ZipInfo], packed_bytes: int, bounds: UploadBounds
) -> dict[PurePosixPath, ZipInfo]:
    """The archive's files by where they belong. Raises ArchiveRefused."""
    if sum(entry.compress_size for entry in entries) > packed_bytes:
        raise ArchiveRefused("the archive's entries overlap: together they are larger than it")
    files: dict[PurePosixPath, ZipInfo] = {}
    spelt: dict[str, PurePosixPath] = {}
    for entry in entries:
        name = entry.orig_filename  # zipfile's own ends at the first NUL
        path = inner_path(name)
        fault = _kind_fault(entry)
        if fault:
            raise _refused(name, fault)
        if _is_clutter(path):
            continue
        for place in (path, *path.parents[:-1]):
            other = spelt.setdefault(_folded(place), place)
            if other != place:
                raise _refused(name, f"it differs from '{other}' only in case or in accents' form")
        if not entry.is_dir():
            if path in files:
                raise _refused(name, "it is there twice")
            files[path] = entry
    for path in files:
        for folder in path.parents[:-1]:
            if folder in files:
                raise _refused(str(folder), "it is a file, and the folder of others")
    return files


def _kind_fault(entry: ZipInfo) -> str:
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "it is a link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "it is neither a file nor a folder, but a device, a pipe or a socket"
    if entry.flag_bits & _ENCRYPTED:
        return "it is encrypted"
    if entry.compress_type not in _METHODS:
        return f"it is compressed by method {entry.compress_type}; accepted: stored, deflated"
    return ""


def _is_clutter(path: PurePosixPath) -> bool:
    """What macOS's Finder adds."""
    return path.parts[0] == "__MACOSX" or path.name == ".DS_Store"


def _folded(path: PurePosixPath) -> str:
    """One text for all names that some file system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", str(path)).casefold())


class _Meter:
    """Counts what comes out."""

    def __init__(self, packed_bytes: int, bounds: UploadBounds) -> None:
        self._bounds = bounds
        self._by_ratio = max(int(bounds.max_ratio * packed_bytes), _SMALL)
        self._bytes = self._label_bytes = 0

    def count(self, piece: int, name: str) -> None:
        """Raises ArchiveRefused when it is too much."""
        self._bytes += piece
        if self._bytes > self._bounds.max_unpacked_bytes:
            most = self._bounds.max_unpacked_bytes
            raise ArchiveRefused(f"the archive unpacks to more than {most:,} bytes")
        if self._bytes > self._by_ratio:
            ratio = self._bounds.max_ratio
            raise ArchiveRefused(f"the archive unpacks to more than {ratio:g} times its size")
        if name.lower().endswith(_LABELS):
            self._label_bytes += piece
            if self._label_bytes > self._bounds.max_label_bytes:
                most = self._bounds.max_label_bytes
                raise _refused(name, f"labels ({', '.join(_LABELS)}) may have {most:,} bytes")


def _write(zipped: ZipFile, entry: ZipInfo, file: RoomyFile, meter: _Meter) -> str:
    """Unpack one entry; the SHA-256 of its bytes, in hex."""
    digest = hashlib.sha256()
    written = 0
    with zipped.open(entry) as packed:
        while piece := packed.read(_PIECE):
            meter.count(len(piece), entry.filename)
            digest.update(piece)
            file.write(piece)
            written += len(piece)
    if written != entry.file_size:  # zipfile looks only for more
        raise BadZipFile(f"{entry.filename} has {written:,} bytes, not {entry.file_size:,}")
    return digest.hexdigest()


def _refused(name: str, fault: str) -> ArchiveRefused:
    shown = name if len(name) <= 80 else name[:79] + "…"
    return ArchiveRefused(f"the archive's entry {shown!r} is refused: {fault}")

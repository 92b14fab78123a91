"""Files that are whole or not there: written beside, flushed, renamed."""

import errno
import glob
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from model.errors import DiskFull

_NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes `path`'s place when the block ends well, and vanishes otherwise.

    What a writer of the same file left that was killed is removed. Raises DiskFull.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_unfinished(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with told_when_full(path.name):
            with part.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _remove_unfinished(path: Path) -> None:
    """The parts of writers that no longer run."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*.*.part"):
        pid = part.name.split(".")[-3]
        if pid.isdigit() and not _runs(int(pid)):
            part.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        return True
    return True


@contextmanager
def told_when_full(name: str) -> Iterator[None]:
    """The system's words for a disk without room as ours. Raises DiskFull; name: of the file."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise DiskFull(name) from error
        raise


def write_json(path: Path, value: Any) -> None:
    """Indented UTF-8 JSON."""
    with replaced(path) as file:
        file.write(
            json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        )


def write_with(path: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Whatever `write` puts into the file."""
    with replaced(path) as file:
        write(file)


def sha256_of(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

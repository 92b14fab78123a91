"""Files that outlive a run: one fsspec URL, a folder or an S3-compatible store."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast

from fsspec.core import url_to_fs

from worker.errors import ArtifactUnusable

_CHUNK: Final = 1 << 20


@dataclass(frozen=True)
class Stored:
    """A file in the store."""

    key: str
    bytes: int
    sha256: str


class ArtifactStore:
    """Files by their key, a relative path with `/`."""

    def __init__(self, url: str, cache: Path) -> None:
        """`cache`: a folder of this host for copies of what lies elsewhere."""
        self._files, self._root = url_to_fs(url, auto_mkdir=True)
        self._local = self._files.protocol == "file" or "file" in self._files.protocol
        self._cache = cache

    def put(self, path: Path, key: str) -> Stored:
        """Store a local file under a key; what was there is replaced at once or not at all.

        Raises ArtifactUnusable when the file is gone or the key leaves the store.
        """
        place = self._place(key)
        if not path.is_file():
            raise ArtifactUnusable(f"{path.name} is not there to be stored")
        sha256, size = digest(path)
        if self._local:
            copy_durably(path, Path(place))
        else:
            self._files.put_file(str(path), place)  # object stores replace whole objects
        return Stored(key, size, sha256)

    def open(self, key: str) -> IO[bytes]:
        """The bytes of a stored file. Raises ArtifactUnusable when it is gone."""
        try:
            return cast(IO[bytes], self._files.open(self._place(key), "rb"))
        except FileNotFoundError:
            raise ArtifactUnusable(f"the stored file {key} is gone") from None

    def fetch(self, key: str, sha256: str) -> Path:
        """A local path of a stored file, checked; copied once to this host if it lies elsewhere.

        Raises ArtifactUnusable when it is gone or is not what was stored.
        """
        if self._local:
            path = Path(self._place(key))
        else:
            path = self._cache / f"{sha256}{PurePosixPath(key).suffix}"
            if not path.is_file():
                self._download(key, path)
        if not path.is_file():
            raise ArtifactUnusable(f"the stored file {key} is gone")
        if digest(path)[0] != sha256:
            if not self._local:
                path.unlink()  # the next call fetches it again
            raise ArtifactUnusable(f"the stored file {key} is damaged: its SHA-256 differs")
        return path

    def _download(self, key: str, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with self.open(key) as source, _beside(path) as target:
            shutil.copyfileobj(source, target, _CHUNK)

    def _place(self, key: str) -> str:
        if key != checked_key(key):
            raise ArtifactUnusable(f"{key!r} is not a name inside the store")
        return f"{self._root}/{key}"


def checked_key(name: str) -> str:
    """`name` as a plain relative path with `/`. Raises ArtifactUnusable for any other."""
    path = PurePosixPath(name)
    odd = "\\" in name or any(ord(c) < 32 for c in name)
    if odd or path.is_absolute() or not path.parts or ".." in path.parts or len(name) > 300:
        raise ArtifactUnusable(f"{name!r} is not a relative file name without '..'")
    return str(path)


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 in hex, and the length in bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def copy_durably(source: Path, target: Path) -> None:
    """Copy beside the target, flush and rename: the target is whole or not there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, _beside(target) as writer:
        shutil.copyfileobj(reader, writer, _CHUNK)


class _beside:  # noqa: N801 - a context manager, read as a verb
    """A temporary file that takes `path`'s place when the block ends well."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> IO[bytes]:
        self._file: Any = tempfile.NamedTemporaryFile(  # noqa: SIM115 - closed in __exit__
            dir=self._path.parent, prefix=".part-", delete=False
        )
        return cast(IO[bytes], self._file)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        part = Path(self._file.name)
        with self._file:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        if kind is None:
            part.chmod(0o644)
            part.replace(self._path)
        else:
            part.unlink()

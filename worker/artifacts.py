"""Files that outlive a run: one fsspec URL, a folder or an S3-compatible store."""

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final, cast

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from model.files import replaced
from worker.errors import ArtifactUnusable, StoreUnusable

_CHUNK: Final = 1 << 20
_NAME_LENGTH: Final = 300


@dataclass(frozen=True)
class Stored:
    """A file in the store."""

    key: str
    bytes: int
    sha256: str


class ArtifactStore:
    """Files by their key, a relative path with `/`. Safe to share between threads."""

    def __init__(self, url: str, cache: Path) -> None:
        """`cache`: a folder of this host for copies of what lies elsewhere.

        Raises StoreUnusable for a URL of no known kind of store, or of one that is not installed.
        """
        try:
            self._files, self._root = url_to_fs(url)
        except (ImportError, ValueError) as error:
            accepted = "file:///FOLDER, or s3://BUCKET/FOLDER with pip install 'okdhp[s3]'"
            raise StoreUnusable(f"no artifacts can be kept there: {error}; {accepted}") from None
        self._local = isinstance(self._files, LocalFileSystem)
        self._cache = cache
        self._copying = threading.Lock()  # `replaced` takes one writer of a file a process

    def put(self, path: Path, key: str) -> Stored:
        """Store a local file under a key; what was there is replaced at once or not at all.

        Raises ArtifactUnusable when the file is gone or the key leaves the store.
        """
        place = self._place(key)
        # The run may replace its file meanwhile: one opened copy is hashed and stored.
        copy = Path(place) if self._local else self._cache / "outgoing" / key.replace("/", "_")
        with self._copying:
            try:
                with path.open("rb") as source, replaced(copy) as target:
                    sha256, size = _copy(source, target)
            except FileNotFoundError:
                raise ArtifactUnusable(f"{path.name} is not there to be stored") from None
            if not self._local:
                self._files.put_file(str(copy), place)  # object stores replace whole objects
                copy.unlink()
        return Stored(key, size, sha256)

    def open(self, key: str) -> IO[bytes]:
        """The bytes of a stored file. Raises ArtifactUnusable when it is gone."""
        try:
            return cast(IO[bytes], self._files.open(self._place(key), "rb"))
        except FileNotFoundError:
            raise ArtifactUnusable(f"the stored file {key} is gone") from None

    def remove(self, key: str) -> None:
        """Remove the file, and every one whose key begins with `key/`; none may be there."""
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(self._place(key), recursive=True)

    def keys(self, folder: str) -> list[str]:
        """The keys that begin with `folder/`."""
        place = self._place(folder)
        self._files.invalidate_cache(place)
        return [str(found).removeprefix(f"{self._root}/") for found in self._files.find(place)]

    def copy(self, key: str, sha256: str, target: Path) -> None:
        """Copy a stored file to this host; the target is whole or not there.

        Raises ArtifactUnusable when it is gone or is not what was stored, DiskFull.
        """
        with self.open(key) as source, replaced(target) as file:
            if _copy(source, file)[0] != sha256:
                raise ArtifactUnusable(f"the stored file {key} is damaged: its SHA-256 differs")

    def fetch(self, key: str, sha256: str) -> Path:
        """A local path of a stored file, checked; copied once to this host if it lies elsewhere.

        Raises ArtifactUnusable when it is gone or is not what was stored.
        """
        if self._local:
            path = Path(self._place(key))
            if not path.is_file():
                raise ArtifactUnusable(f"the stored file {key} is gone")
        else:
            path = self._cache / f"{sha256}{PurePosixPath(key).suffix}"
            with self._copying:
                if not path.is_file():
                    self.copy(key, sha256, path)
        if digest(path)[0] != sha256:
            if not self._local:
                path.unlink(missing_ok=True)  # the next call fetches it again
            raise ArtifactUnusable(f"the stored file {key} is damaged: its SHA-256 differs")
        return path

    def _place(self, key: str) -> str:
        return f"{self._root}/{checked_key(key)}"


def checked_key(name: str) -> str:
    """`name` as a plain relative path with `/`. Raises ArtifactUnusable for any other."""
    path = PurePosixPath(name)
    odd = "\\" in name or any(ord(c) < 32 for c in name) or len(name) > _NAME_LENGTH
    if odd or path.is_absolute() or not path.parts or ".." in path.parts:
        raise ArtifactUnusable(f"{name!r} is not a relative file name without '..'")
    return str(path)


def digest(path: Path) -> tuple[str, int]:
    """SHA-256 in hex, and the length in bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()


def _copy(source: IO[bytes], target: IO[bytes]) -> tuple[str, int]:
    """SHA-256 in hex and length of what was copied."""
    sha256, size = hashlib.sha256(), 0
    while chunk := source.read(_CHUNK):
        sha256.update(chunk)
        size += len(chunk)
        target.write(chunk)
    return sha256.hexdigest(), size

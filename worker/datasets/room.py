"""A new file that is written only while the disk has room to spare."""

import shutil
from pathlib import Path

from model.errors import DiskFull
from model.files import told_when_full


class RoomyFile:
    """Asks before every piece whether `free_bytes` of the disk stay free. Raises DiskFull."""

    def __init__(self, path: Path, free_bytes: int) -> None:
        """path: of a file that is not there yet, in a folder that is."""
        self._path, self._free_bytes = path, free_bytes
        with told_when_full(path.name):
            # Unbuffered: pieces are large, and a close that fails would lose some of them.
            self._file = path.open("xb", buffering=0)

    def write(self, piece: bytes) -> None:
        """All of it. Raises DiskFull."""
        if shutil.disk_usage(self._path.parent).free - len(piece) < self._free_bytes:
            raise DiskFull(self._path.name)
        left = memoryview(piece)
        with told_when_full(self._path.name):
            while left:
                left = left[self._file.write(left) :]

    def close(self) -> None:
        self._file.close()

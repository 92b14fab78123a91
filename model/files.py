"""Files that are whole or not there: written beside, flushed, renamed."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any


@contextmanager
def replaced(path: Path) -> Iterator[IO[bytes]]:
    """A binary file that takes `path`'s place when the block ends well, and vanishes otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


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

"""Where a training begins: what a configuration refers to, as files of this machine.

A reference is a run's folder, a file, or a URL of either in any scheme that fsspec knows (the
folder of another run, `s3://…`, `memory://…`). Names that only a server knows, of registered models
and of jobs, are replaced by paths before a training sees them.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from model.errors import ConfigError, Fault
from model.files import replaced

BEST: Final = "checkpoints/best.pt"
LAST: Final = "checkpoints/last.pt"
CACHE: Final = Path.home() / ".cache" / "okdhp"
ACCEPTED: Final = "a run's folder, a file, or a URL of either"

_CHUNK: Final = 1 << 20
_OF_A_RUN: Final = ("config.yaml", "events.jsonl", "mlflow.json")
"""What a run that goes on elsewhere needs beside its checkpoints."""


def local_file(
    reference: str, where: str, *, inside: Sequence[str] = (BEST, LAST), cache: Path | None = None
) -> Path:
    """The file of this machine that a reference means.

    where: the configuration's key, for the error. inside: what is looked for in a folder, the
    first that is there. cache: where copies of what lies elsewhere are kept, `CACHE` by default;
    a file that has changed there is copied again.

    Raises ConfigError.
    """
    files, root = _opened(reference, where)
    place = _found(files, root, reference, where, inside)
    if isinstance(files, LocalFileSystem):
        return Path(place)
    try:
        version = f"{reference} {place} {files.ukey(place)}"
        name = hashlib.sha256(version.encode()).hexdigest()[:32] + PurePosixPath(place).suffix
        copy = (cache or CACHE) / "fetched" / name
        if not copy.exists():
            _copy(files, place, copy)
    except Exception as error:  # every scheme has its own
        raise _away(reference, where, error) from error
    return copy


def fetch_run(reference: str, run_dir: Path, where: str) -> None:
    """Copy of another run what it takes to go on with it; its last checkpoint comes last.

    reference: a run's folder, its last.pt, or a URL of either. A file in `run_dir` is replaced.
    Raises ConfigError.
    """
    files, root = _opened(reference, where)
    last = _found(files, root, reference, where, (LAST,))
    folder = PurePosixPath(last).parent
    try:
        wanted = {}
        if last.endswith(f"/{LAST}"):
            beside = [str(place) for place in files.ls(str(folder), detail=False)]
            wanted = {
                place: f"checkpoints/{PurePosixPath(place).name}"
                for place in beside
                if place.endswith(".pt") and place != last
            } | {str(folder.parent / name): name for name in _OF_A_RUN}
        for place, name in wanted.items():
            if files.isfile(place):
                _copy(files, place, run_dir / name)
        _copy(files, last, run_dir / LAST)
    except Exception as error:
        raise _away(reference, where, error) from error


def is_url(reference: str) -> bool:
    """Whether a reference names its scheme."""
    return "://" in reference


def _opened(reference: str, where: str) -> tuple[Any, str]:
    """The file system and the path in it. Raises ConfigError."""
    if not is_url(reference):
        reference = str(Path(reference).expanduser().absolute())
    try:
        files, root = url_to_fs(reference)
    except Exception as error:  # an unknown scheme, a package that is missing, a wrong key
        raise _away(reference, where, error) from error
    return files, root.rstrip("/")


def _found(files: Any, root: str, reference: str, where: str, inside: Sequence[str]) -> str:
    """The place of the file itself, also where a folder was named. Raises ConfigError."""
    try:
        if files.isfile(root):
            return root
        for name in inside:
            if files.isfile(f"{root}/{name}"):
                return f"{root}/{name}"
        there = files.isdir(root)
    except Exception as error:
        raise _away(reference, where, error) from error
    problem = (
        f"{reference} holds no {' and no '.join(inside)}" if there else (f"there is no {reference}")
    )
    raise ConfigError([Fault(where, problem, ACCEPTED)])


def _copy(files: Any, place: str, target: Path) -> None:
    """The target is whole or not there."""
    with files.open(place, "rb") as source, replaced(target) as file:
        shutil.copyfileobj(source, file, _CHUNK)


def _away(reference: str, where: str, error: Exception) -> ConfigError:
    return ConfigError([Fault(where, f"{reference} cannot be fetched: {error}", ACCEPTED)])

"""Registered data sets: a name for a format and a path below the data folder."""

import hashlib
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select

from model.data.check import check_set, fingerprint
from model.data.readers import READERS, SPLITS
from model.errors import DatasetError
from worker.errors import DatasetExists, DatasetNotFound
from worker.names import checked_name, is_name
from worker.paths import hidden
from worker.store.database import Database
from worker.store.steps import clock
from worker.store.tables import Dataset

WHOLE: Final = "all"
"""Stands for the split of a set that has none."""


class Datasets:
    """What jobs may learn from. Safe to share between threads."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._data_dir = data_dir

    def register(self, name: str, format: str, path: str) -> Dataset:
        """Read and check a set below the data folder, and note it under a name.

        path: relative to the data folder. The same set under the same name is read again.
        Raises NameInvalid, DatasetExists (another set has the name), DatasetError (nothing there,
        outside the data folder, faulty, or with images missing).
        """
        checked_name(name, "data set")
        if format not in READERS:
            raise DatasetError(path, None, f"unknown format {format!r}: {', '.join(READERS)}")
        folder = self._inside(path)
        path = folder.relative_to(self._data_dir.resolve()).as_posix()  # one spelling of it
        self._refuse_other(name, format, path)
        try:
            splits, problems, print_ = _examine(format, folder)
        except DatasetError as error:
            shown = (hidden(text, [folder, self._data_dir]) for text in (error.file, error.fault))
            file, fault = shown
            raise DatasetError(file, error.row, fault) from None
        with self._database.writing() as session:
            return session.merge(
                Dataset(
                    name=name,
                    format=format,
                    path=path,
                    splits=splits,
                    problems=problems,
                    fingerprint=print_,
                    created_at=clock(session),
                )
            )

    def get(self, name: str) -> Dataset:
        """Raises DatasetNotFound."""
        with self._database.reading() as session:
            found = session.get(Dataset, name) if is_name(name) else None
            if found is None:
                names = ", ".join(session.scalars(select(Dataset.name).order_by(Dataset.name)))
                raise DatasetNotFound(
                    f"there is no data set {name!r}; there are: {names or 'none'}"
                )
        return found

    def all(self) -> list[Dataset]:
        """Every data set, by name."""
        with self._database.reading() as session:
            return list(session.scalars(select(Dataset).order_by(Dataset.name)))

    def lookup(self, name: str) -> tuple[str, Path]:
        """(format, absolute path) of a set, for `Config.with_sources`.

        Raises DatasetNotFound, DatasetError when its folder is gone.
        """
        found = self.get(name)
        return found.format, self._inside(found.path)

    def _inside(self, path: str) -> Path:
        """The path below the data folder. Raises DatasetError."""
        root = self._data_dir.resolve()
        if not path.isprintable() or Path(path).is_absolute() or ".." in Path(path).parts:
            raise DatasetError(path, None, "is not a relative path inside the data folder")
        # Links are followed wherever they lead: only who has the server's disk can make one.
        whole = root / path
        try:
            there = whole.exists()
        except OSError:  # as a name that is too long for the disk
            there = False
        if not there:
            raise DatasetError(path, None, "does not exist in the data folder")
        return whole

    def _refuse_other(self, name: str, format: str, path: str) -> None:
        try:
            found = self.get(name)
        except DatasetNotFound:
            return
        if (found.format, found.path) != (format, path):
            raise DatasetExists(
                f"data set {name!r} is {found.format} at {found.path}; take another name"
            )


def _examine(format: str, folder: Path) -> tuple[dict[str, Any], list[str], str]:
    """Counts by split, what a person should know, and a fingerprint. Raises DatasetError."""
    splits: dict[str, Any] = {}
    problems: list[str] = []
    prints: list[str] = []
    # A single file, or a set without lists of its splits, is read as a whole.
    for split in SPLITS[format](folder) or (None,):
        name = split or WHOLE
        labelled = READERS[format](folder, split)
        report = check_set(labelled)
        if report.faults:
            raise DatasetError(f"{folder.name}, {name}", None, "; ".join(report.faults))
        splits[name] = {
            "people": report.people,
            "images": report.images,
            "skeleton": labelled.skeleton.name,
            "joints": report.joints,
        }
        if report.joints_outside:
            problems.append(
                f"{name}: {report.joints_outside} joints of {report.outside_people} people lie "
                "outside their image"
            )
        prints.append(f"{name} {fingerprint(labelled)}")
    return splits, problems, hashlib.sha256("\n".join(prints).encode()).hexdigest()

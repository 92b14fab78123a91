"""Registered data sets: a name for a format and a path below the data folder."""

from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from model.errors import DatasetError
from worker.errors import DatasetExists, DatasetNotFound
from worker.names import checked_name
from worker.store.database import Database, now
from worker.store.tables import Dataset


class Datasets:
    """What jobs may learn from."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._data_dir = data_dir

    def register(self, name: str, format: str, path: str) -> Dataset:
        """Read and check a set below the data folder, and note it under a name.

        path: relative to the data folder. Registering the same set again under its name reads it
        again. Raises NameInvalid, DatasetExists (another set has the name), DatasetError (nothing
        there, outside the data folder, faulty, or with images missing).
        """
        ...

    def get(self, name: str) -> Dataset:
        """Raises DatasetNotFound."""
        ...

    def all(self) -> list[Dataset]:
        """Every data set, by name."""
        ...

    def lookup(self, name: str) -> tuple[str, Path]:
        """(format, absolute path) of a set, for `Config.with_sources`. Raises DatasetNotFound."""
        ...

"""Registered and uploaded sets: a name's versions, each a format and a folder of the data folder.

Version numbers are never given twice: what a job of last week means by `gym:2` is that or gone.
"""

from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from model.data.readers import READERS
from model.errors import DatasetError
from worker.datasets.survey import Survey, survey
from worker.datasets.uploads import UPLOADS, Upload, remove
from worker.datasets.users import users_of
from worker.errors import DatasetExists, DatasetInUse, DatasetNotFound, StoreUnusable
from worker.names import checked_name, is_name
from worker.paths import hidden, inside
from worker.store.database import Database
from worker.store.steps import clock
from worker.store.tables import Dataset

_DIGITS: Final = 9
"""Digits of a version."""
_TRIES: Final = 20


class Added(NamedTuple):
    """A version, and whether it is new."""

    dataset: Dataset
    new: bool


class Datasets:
    """What jobs may learn from. Safe to share between threads."""

    def __init__(self, database: Database, data_dir: Path) -> None:
        self._database = database
        self._data_dir = data_dir

    # Coming ------------------------------------------------------------------------------------

    def register(self, name: str, format: str, path: str) -> Dataset:
        """Read and check a set below the data folder, and note it under a name.

        path: relative to the data folder. The same set under the same name is read again.
        Raises NameInvalid, DatasetExists (another set has the name), DatasetError (nothing there,
        outside the data folder, faulty, or with images missing).
        """
        checked_name(name, "data set")
        if format not in READERS:
            raise DatasetError(path, None, f"unknown format {format!r}: {', '.join(READERS)}")
        folder = inside(self._data_dir, path)
        path = folder.relative_to(self._data_dir.resolve()).as_posix()  # one spelling of it
        if Path(path).parts[:1] == (UPLOADS,):
            raise DatasetError(path, None, "belongs to an upload, which has a name already")
        self._refuse_other(name, format, path)
        found = self._surveyed(format, folder, whole=True)
        with self._database.writing() as session:
            known = session.scalar(_there(name).where(Dataset.path == path))
            return session.merge(
                Dataset(
                    name=name,
                    version=_next(session, name) if known is None else known.version,
                    format=format,
                    path=path,
                    **found._asdict(),
                    created_at=clock(session),
                )
            )

    def upload(self, name: str, upload: Upload, format: str | None = None) -> Added:
        """Unpack and check an archive that has come whole, and note it as the name's next version.

        The same files again are the version that they were. Images that are missing or broken are
        noted: who sent gigabytes wants to hear of all that is wrong with them, from a validation.
        Raises NameInvalid, ArchiveRefused, DiskFull, DatasetError (no set in it, or one whose
        labels cannot be read).
        """
        checked_name(name, "data set")
        layout, unpacked = upload.unpack(format)
        known = self._of_content(name, unpacked.content)
        if known is not None:
            return Added(known, False)
        found = self._surveyed(layout.format, upload.folder, whole=False)
        row = {"name": name, "format": layout.format, "content": unpacked.content}
        path = upload.keep()
        try:
            added = self._insert(row | {"path": path}, found)
        except BaseException:
            upload.drop()
            raise
        if not added.new:
            upload.drop()
        return added

    def validated_by(self, dataset: Dataset, job_id: str) -> Dataset:
        """The version, with the job that validates it noted."""
        with self._database.writing() as session:
            row = session.get_one(Dataset, (dataset.name, dataset.version))
            row.validation = job_id
        return row

    # Being used --------------------------------------------------------------------------------

    def get(self, reference: str) -> Dataset:
        """What `name` (its newest version) or `name:version` means. Raises DatasetNotFound."""
        name, colon, number = reference.partition(":")
        if not is_name(name):
            raise self._unknown(reference)
        newest = _there(name).order_by(Dataset.version.desc()).limit(1)
        with self._database.reading() as session:
            if not colon:
                found = session.scalar(newest)
            elif number.isascii() and number.isdigit() and len(number) <= _DIGITS:
                found = session.get(Dataset, (name, int(number)))
            else:
                found = None
        if found is None:
            raise self._unknown(reference)
        if found.deleted_at is not None:
            raise DatasetNotFound(f"data set '{name}:{number}' was deleted")
        return found

    def versions(self, name: str) -> list[Dataset]:
        """The versions of a name that there are, newest first. Raises DatasetNotFound."""
        with self._database.reading() as session:
            query = _there(name).order_by(Dataset.version.desc())
            found = list(session.scalars(query)) if is_name(name) else []
        if not found:
            raise self._unknown(name)
        return found

    def all(self) -> list[Dataset]:
        """Every version of every data set, by name and newest first."""
        with self._database.reading() as session:
            query = select(Dataset).where(Dataset.deleted_at.is_(None))
            return list(session.scalars(query.order_by(Dataset.name, Dataset.version.desc())))

    def lookup(self, reference: str) -> tuple[str, Path]:
        """(format, absolute path) of a set, for `Config.with_sources`.

        Raises DatasetNotFound, DatasetError when its folder is gone.
        """
        found = self.get(reference)
        return found.format, inside(self._data_dir, found.path)

    # Going -------------------------------------------------------------------------------------

    def delete(self, name: str, version: int | None = None) -> None:
        """Forget a version, or all of a name; uploaded files are removed, others are left.

        Raises DatasetNotFound; DatasetInUse while a job that has not ended names it.
        """
        with self._database.writing() as session:
            query = _there(name).with_for_update(of=Dataset)
            if version is not None:
                query = query.where(Dataset.version == version)
            rows = list(session.scalars(query)) if is_name(name) else []
            if not rows:
                raise self._unknown(name if version is None else f"{name}:{version}")
            users = users_of(session, name, {row.version for row in rows})
            if users:
                raise DatasetInUse(name if version is None else f"{name}:{version}", users)
            for row in rows:
                row.deleted_at = clock(session)
        for row in rows:
            if row.content is not None:
                remove(self._data_dir, row.path)

    # -------------------------------------------------------------------------------------------

    def _insert(self, row: dict[str, Any], found: Survey) -> Added:
        """The next version of its name; the old one when the same files came at the same time."""
        for _ in range(_TRIES):
            with suppress(IntegrityError), self._database.writing() as session:
                # The number first: who commits after it is seen here, or takes it before us.
                number = _next(session, row["name"])
                same = _there(row["name"]).where(Dataset.content == row["content"])
                if (known := session.scalar(same)) is not None:
                    return Added(known, False)
                added = Dataset(
                    **row,
                    version=number,
                    **found._asdict(),
                    created_at=clock(session),
                )
                session.add(added)
                session.flush()  # PostgreSQL: where another took the number the next is asked for
                return Added(added, True)
        raise StoreUnusable(f"too many uploads of {row['name']!r} at once; try again")

    def _of_content(self, name: str, content: str) -> Dataset | None:
        with self._database.reading() as session:
            return session.scalar(_there(name).where(Dataset.content == content))

    def _surveyed(self, format: str, folder: Path, *, whole: bool) -> Survey:
        """Raises DatasetError without a path of the server."""
        try:
            return survey(format, folder, whole=whole)
        except DatasetError as error:
            shown = (hidden(text, [folder, self._data_dir]) for text in (error.file, error.fault))
            file, fault = shown
            raise DatasetError(file, error.row, fault) from None

    def _refuse_other(self, name: str, format: str, path: str) -> None:
        """A path takes no name of another set: a slip of the pen would change what jobs mean."""
        try:
            found = self.versions(name)
        except DatasetNotFound:
            return
        if all((row.format, row.path) != (format, path) for row in found):
            first = found[0]
            at = f"at {first.path}" if first.content is None else "and was uploaded"
            raise DatasetExists(f"data set {name!r} is {first.format} {at}; take another name")

    def _unknown(self, reference: str) -> DatasetNotFound:
        name = reference.partition(":")[0]
        with self._database.reading() as session:
            there = select(Dataset.name).where(Dataset.deleted_at.is_(None)).distinct()
            names = list(session.scalars(there.order_by(Dataset.name)))
            known = session.scalars(_there(name)) if name in names else ()
            versions = sorted(row.version for row in known)
        if versions:
            shown = ", ".join(map(str, versions))
            return DatasetNotFound(f"there is no data set {reference!r}; versions: {shown}")
        return DatasetNotFound(
            f"there is no data set {reference!r}; there are: {', '.join(names) or 'none'}"
        )


def _there(name: str) -> Select[Dataset]:
    """The versions of a name that were not deleted, as a query."""
    return select(Dataset).where(Dataset.name == name, Dataset.deleted_at.is_(None))


def _next(session: Session, name: str) -> int:
    """The number after the highest that the name ever had."""
    highest = session.scalar(select(func.max(Dataset.version)).where(Dataset.name == name))
    return (highest or 0) + 1

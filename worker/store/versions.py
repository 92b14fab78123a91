"""Adding a model's version inside somebody's transaction."""

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.store.tables import Model, Version


def insert_version(session: Session, version: Version, at: float) -> Version:
    """Store a version under its model's next number; the same file of its job, if that is there.

    version: complete but for `version` and `created_at`. `at`: the time to note.
    """
    model = session.get(Model, version.model, with_for_update=True)
    if model is None:
        try:
            with session.begin_nested():
                session.add(Model(name=version.model, created_at=at))
        except IntegrityError:  # PostgreSQL: another made it at the same moment
            session.get(Model, version.model, with_for_update=True)
    # The model's row is locked: numbers are given one after another.
    of_model = Version.model == version.model
    if version.job_id is not None:
        same = (
            of_model,
            Version.job_id == version.job_id,
            Version.branch == version.branch,
            Version.variant == version.variant,
            Version.sha256 == version.sha256,
        )
        made = session.scalar(select(Version).where(*same))
        if made is not None:
            return made
    highest = session.scalar(select(func.max(Version.version)).where(of_model))
    version.version = (highest or 0) + 1
    version.created_at = at
    session.add(version)
    session.flush()
    return version

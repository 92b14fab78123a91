"""Which jobs use a data set."""

from collections.abc import Collection, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.store.tables import FINAL, Job


def users_of(session: Session, name: str, versions: Collection[int]) -> list[tuple[str, str]]:
    """(id, state) of the jobs that have not ended and name one of the versions, oldest first.

    A job of an older program may name the set alone: it could mean any.
    """
    meant = {name, *(f"{name}:{version}" for version in versions)}
    open_ = select(Job.id, Job.state, Job.resolved).where(Job.state.not_in(FINAL)).order_by(Job.id)
    return [
        (job_id, str(state))
        for job_id, state, resolved in session.execute(open_)
        if not meant.isdisjoint(_named(resolved))
    ]


def _named(tree: Any) -> Iterator[str]:
    """Every data set that a configuration names."""
    if isinstance(tree, dict):
        if isinstance(tree.get("dataset"), str):
            yield tree["dataset"]
        tree = list(tree.values())
    if isinstance(tree, list):
        for value in tree:
            yield from _named(value)

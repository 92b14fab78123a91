"""How many jobs there are, by state and kind, and how many wait for which device."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select

from worker.store.database import Database, now
from worker.store.tables import ACTIVE, Job, Need, State


@dataclass(frozen=True)
class Census:
    """The jobs of a moment."""

    counts: Mapping[tuple[State, str], int]
    """By state and kind, where there are any."""
    queued: Mapping[Need, int]
    """Jobs in `queued` by what they need, where there are any."""
    oldest_queued_s: float
    """Since the oldest job in `queued` was posted; 0 where none is."""
    overdue: int
    """Jobs whose worker did not renew its lease, and that nobody has taken from it yet."""


def census(database: Database) -> Census:
    """All counts at one moment."""
    query = select(Job.state, Job.kind, func.count(), now() - func.min(Job.created_at)).group_by(
        Job.state, Job.kind
    )
    needs = (
        select(Job.needs, func.count().label("jobs"))
        .where(Job.state == State.QUEUED)
        .group_by(Job.needs)
    )
    silent = select(func.count()).where(Job.state.in_(ACTIVE), Job.lease_expires_at < now())
    with database.reading() as session:
        rows = session.execute(query).all()
        queued_for = {row.needs: row.jobs for row in session.execute(needs)}
        overdue = session.scalar(silent) or 0
    queued = [age_s for state, _, _, age_s in rows if state == State.QUEUED]
    return Census(
        counts={(state, kind): number for state, kind, number, _ in rows},
        queued=queued_for,
        oldest_queued_s=max(queued, default=0.0),
        overdue=overdue,
    )

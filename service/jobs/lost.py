"""Jobs whose worker is gone, taken from it by the API as well: the last worker may be the lost one,
and nobody else would be there to say so.
"""

import asyncio
import logging
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from worker.store import JobStore

log = logging.getLogger(__name__)

_REAPER: Final = "the API"


async def take_from_lost_workers(jobs: JobStore, every_s: float) -> None:
    """Look again and again, beside as many workers and other servers as do the same."""
    while True:
        await asyncio.sleep(every_s)
        try:
            for job_id, state in await asyncio.to_thread(jobs.reap, _REAPER):
                log.warning("job %s lost its worker and is %s", job_id, state)
        except SQLAlchemyError as error:
            log.warning("no look for lost workers while the database is away: %s", error)

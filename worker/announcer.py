"""The bell: tells the broker that a job waits, by the job's id and nothing else."""

import logging
from collections.abc import Iterable
from typing import Any, Final

from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from worker.app import QUEUES
from worker.store import JobStore

log = logging.getLogger(__name__)

TASK: Final = "okdhp.run"
"""Name of the Celery task that takes a job's id."""


class Announcer:
    """Rings the bell and notes that it did."""

    def __init__(self, celery: Any, jobs: JobStore) -> None:
        """celery: a `worker.app.create_celery` application."""
        self._celery = celery
        self._jobs = jobs

    def announce(self, job_id: str) -> bool:
        """False when the broker is away: a worker announces the job later.

        A message too many does no harm.
        """
        queue = QUEUES[self._jobs.need_of(job_id)]
        try:
            self._celery.send_task(TASK, args=[job_id], queue=queue, retry=False)
        except (KombuError, RedisError, OSError) as error:
            log.warning("job %s waits unannounced: the broker is away (%s)", job_id, error)
            return False
        self._jobs.announced(job_id)
        return True

    def announce_waiting(self) -> int:
        """Announce the queued jobs that the broker was not told of; how many it was told of now."""
        return self.announce_all(self._jobs.unannounced())

    def announce_all(self, job_ids: Iterable[str]) -> int:
        """Announce one after another until the broker is away; how many it was told of."""
        told = 0
        for job_id in job_ids:
            if not self.announce(job_id):
                break
            told += 1
        return told

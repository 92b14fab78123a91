"""The thread beside a worker's jobs: takes jobs from lost workers and rings the bell again."""

import logging
import threading

from sqlalchemy.exc import SQLAlchemyError

from worker.announcer import Announcer
from worker.supervisor import Supervisor

log = logging.getLogger(__name__)


class Housekeeper:
    """Every worker runs one; any number of them do no harm to each other."""

    def __init__(self, supervisor: Supervisor, announcer: Announcer) -> None:
        self._supervisor = supervisor
        self._announcer = announcer
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def tidy(self) -> None:
        """One round: reap, then announce."""
        settings = self._supervisor.stores.settings
        for job_id, state in self._supervisor.stores.jobs.reap(self._supervisor.worker):
            log.warning("job %s lost its worker and is %s", job_id, state)
        self._announcer.announce_waiting()
        if not self._supervisor.busy:
            # A queue that was emptied, or a message that lies with a dead worker. Only an idle
            # worker asks, and it takes what it asked for: messages do not pile up.
            self._announcer.announce_waiting(after_s=settings.reannounce_s, limit=1)

    def _run(self) -> None:
        while not self._ended.wait(self._supervisor.stores.settings.housekeeping_s):
            try:
                self.tidy()
            except SQLAlchemyError as error:
                log.warning("no housekeeping while the database is away: %s", error)
            except Exception:
                log.exception("housekeeping failed; it goes on")

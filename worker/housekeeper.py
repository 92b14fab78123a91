"""The threads beside a worker's jobs: one takes jobs from lost workers and rings the bell again,
one tells those who posted jobs that these have ended.
"""

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from worker.announcer import Announcer
from worker.callbacks import Courier
from worker.supervisor import Supervisor

log = logging.getLogger(__name__)


class Housekeeper:
    """Every worker runs one; any number of them do no harm to each other."""

    def __init__(self, supervisor: Supervisor, announcer: Announcer) -> None:
        self._supervisor = supervisor
        self._announcer = announcer
        self._ended = threading.Event()
        stores = supervisor.stores
        courier = Courier(stores.database, stores.settings)
        # Two, since a receiver that does not answer must not keep a lost job waiting.
        self._threads = [
            threading.Thread(target=self._run, args=[work], name=name, daemon=True)
            for name, work in (("housekeeper", self.tidy), ("courier", courier.deliver_due))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

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

    def _run(self, work: Callable[[], None]) -> None:
        while not self._ended.wait(self._supervisor.stores.settings.housekeeping_s):
            try:
                work()
            except SQLAlchemyError as error:
                log.warning("no housekeeping while the database is away: %s", error)
            except Exception:
                log.exception("housekeeping failed; it goes on")

"""The threads beside a worker's jobs: one takes jobs from lost workers and rings the bell again,
one tells those who posted jobs that these have ended, one removes files of old jobs.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from worker.announcer import Announcer
from worker.callbacks import Courier
from worker.dispatcher import Dispatcher
from worker.retention import sweep
from worker.supervisor import Supervisor

log = logging.getLogger(__name__)

_SWEEP_S: Final = 60.0
"""Between two rounds of `worker.retention.sweep`."""


class Housekeeper:
    """Every worker runs one; any number of them do no harm to each other."""

    def __init__(
        self, supervisor: Supervisor, dispatcher: Dispatcher, announcer: Announcer
    ) -> None:
        self._supervisor = supervisor
        self._dispatcher = dispatcher
        self._announcer = announcer
        self._ended = threading.Event()
        self._next_sweep = 0.0
        stores = supervisor.stores
        courier = Courier(stores.database, stores.settings)
        # Several, since a receiver that does not answer must not keep a lost job waiting, nor many
        # files that are removed.
        self._threads = [
            threading.Thread(target=self._run, args=[work], name=name, daemon=True)
            for name, work in (
                ("housekeeper", self.tidy),
                ("courier", courier.deliver_due),
                ("janitor", self._sweep_when_due),
            )
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._ended.set()

    def tidy(self) -> None:
        """One round: reap, then announce."""
        for job_id, state in self._supervisor.stores.jobs.reap(self._supervisor.worker):
            log.warning("job %s lost its worker and is %s", job_id, state)
        self._announcer.announce_waiting()
        # A queue that was emptied, a message that lies with a dead worker or that one heard whose
        # device was in use, a GPU whose memory is free again. Only a free device asks, and its
        # worker takes the messages: they do not pile up.
        self._announcer.announce_all(self._dispatcher.wanted())

    def _sweep_when_due(self) -> None:
        if time.monotonic() >= self._next_sweep:
            sweep(self._supervisor.stores)
            self._next_sweep = time.monotonic() + _SWEEP_S

    def _run(self, work: Callable[[], None]) -> None:
        while not self._ended.wait(self._supervisor.stores.settings.housekeeping_s):
            try:
                work()
            except SQLAlchemyError as error:
                log.warning("no housekeeping while the database is away: %s", error)
            except Exception:
                log.exception("housekeeping failed; it goes on")

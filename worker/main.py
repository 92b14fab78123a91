"""A worker process: takes jobs from the broker, one at a time, until it is told to end."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from celery import signals
from celery.platforms import SecurityWarning

from worker.announcer import TASK, Announcer
from worker.app import create_celery
from worker.housekeeper import Housekeeper
from worker.jobs import KINDS, JobKind
from worker.settings import WorkerSettings
from worker.stores import open_stores
from worker.supervisor import CHILD, Supervisor

log = logging.getLogger(__name__)


def run_worker(
    settings: WorkerSettings,
    *,
    kinds: Mapping[str, JobKind] = KINDS,
    child: Sequence[str] = CHILD,
) -> int:
    """Work until TERM or INT; the job in work then goes back to the queue. The exit status.

    To be called in the main thread: it takes the process's signals. child: the command that does
    a job of one of the kinds.
    Raises BrokerUnusable, StoreUnusable.
    """
    # Celery warns root of pickled messages; this worker takes nothing but JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    stores = open_stores(settings)
    celery = create_celery(settings)
    supervisor = Supervisor(stores, kinds=kinds, child=child)
    housekeeper = Housekeeper(supervisor, Announcer(celery, stores.jobs))
    celery.task(supervisor.run, name=TASK)

    def on_ready(**_: Any) -> None:
        log.info("worker %s is ready", supervisor.worker)
        housekeeper.start()

    def on_shutdown(**_: Any) -> None:
        supervisor.drain()  # Celery waits for the task, which ends by it
        housekeeper.stop()

    signals.setup_logging.connect(_leave_logging_alone)
    signals.worker_ready.connect(on_ready)
    signals.worker_shutting_down.connect(on_shutdown)
    worker = celery.Worker(
        hostname=f"okdhp@{supervisor.worker.replace(':', '-')}",
        # A thread, not the main one, so that the worker answers pings during a job of hours.
        pool="threads",
        # One job takes the machine's device and all of its cores: a second would slow both.
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    try:
        worker.start()
    finally:
        stores.close()
    # To end when told is no failure, though Celery counts Ctrl-C as one.
    return 0 if supervisor.draining.is_set() else int(worker.exitcode or 0)


def _leave_logging_alone(**_: Any) -> None:
    """Whoever started the process has set up its logging; Celery must not do it again."""

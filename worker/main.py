"""A worker process: does the jobs whose turn it is, one at a time on each device."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from celery import signals
from celery.platforms import SecurityWarning

from worker.announcer import TASK, Announcer
from worker.app import QUEUES, create_celery
from worker.attempt import CHILD
from worker.devices import found_devices
from worker.dispatcher import Dispatcher
from worker.housekeeper import Housekeeper
from worker.jobs import KINDS, JobKind
from worker.settings import WorkerSettings
from worker.stores import open_stores
from worker.supervisor import Supervisor

log = logging.getLogger(__name__)


def run_worker(
    settings: WorkerSettings,
    *,
    kinds: Mapping[str, JobKind] = KINDS,
    child: Sequence[str] = CHILD,
) -> int:
    """Work until TERM or INT; the jobs in work then go back to the queue. The exit status.

    To be called in the main thread: it takes the process's signals. child: the command that does
    a job of one of the kinds.
    Raises BrokerUnusable, StoreUnusable, DeviceMissing.
    """
    # Celery warns root of pickled messages; this worker takes nothing but JSON.
    warnings.simplefilter("ignore", SecurityWarning)
    devices = found_devices(settings.devices)
    stores = open_stores(settings)
    celery = create_celery(settings)
    supervisor = Supervisor(stores, kinds=kinds, child=child)
    dispatcher = Dispatcher(supervisor, devices)
    housekeeper = Housekeeper(supervisor, dispatcher, Announcer(celery, stores.jobs))
    celery.task(dispatcher.hear, name=TASK)

    def on_ready(**_: Any) -> None:
        on = ", ".join(device.name for device in devices)
        log.info("worker %s is ready on %s", supervisor.worker, on)
        housekeeper.start()

    def on_shutdown(**_: Any) -> None:
        supervisor.drain()  # Celery waits for the tasks, which end by it
        housekeeper.stop()

    signals.setup_logging.connect(_leave_logging_alone)
    signals.worker_ready.connect(on_ready)
    signals.worker_shutting_down.connect(on_shutdown)
    worker = celery.Worker(
        hostname=f"okdhp@{supervisor.worker.replace(':', '-')}",
        # Not the main thread, so that the worker answers pings during a job of hours.
        pool="threads",
        concurrency=len(devices),
        queues=sorted({QUEUES[need] for device in devices for need in device.needs}),
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

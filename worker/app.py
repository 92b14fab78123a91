"""The Celery application: one task that takes a job's id."""

from collections.abc import Mapping
from typing import Final

from celery import Celery

from worker.errors import BrokerUnusable
from worker.settings import WorkerSettings
from worker.store import Need

QUEUES: Final[Mapping[Need, str]] = {
    Need.ANY: "okdhp",
    Need.GPU: "okdhp.gpu",
    Need.CPU: "okdhp.cpu",
}
"""Where a job is announced, by what it needs."""
_CONNECT_S: Final = 2


def create_celery(settings: WorkerSettings) -> Celery:
    """An application that can send, and consume once `worker.main` gives it the task.

    Needs `broker_url`: redis://, rediss:// or redis+socket:// (`worker.broker` starts an embedded
    one and gives its URL). Raises BrokerUnusable without.
    """
    if settings.broker_url is None:
        raise BrokerUnusable("no broker is set: give OKDHP_BROKER_URL, or start with `okdhp serve`")
    app = Celery("okdhp", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,  # the database holds what became of a job
        task_default_queue=QUEUES[Need.ANY],
        # A message is done when its hearer found no more to do: one of a worker that dies comes
        # again. The reaper is faster and does not need it, so the broker need not hurry
        # (visibility timeout). And a busy worker leaves messages to those who are not.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": settings.visibility_timeout_s,
            "socket_connect_timeout": _CONNECT_S,
            # A post must not wait for a broker that is away; the worker's own loop still does.
            "max_retries": 0,
        },
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
    )
    return app

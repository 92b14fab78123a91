"""The HTTP application, assembled."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Final

from anyio import to_thread
from fastapi import FastAPI

from service import docs, handlers, origins
from service.context import Context
from service.datasets import routes as datasets
from service.headers import SecurityHeaders
from service.health import routes as health
from service.identified import Identified
from service.jobs import events as job_events
from service.jobs import logs as job_logs
from service.jobs import routes as jobs
from service.jobs.hub import Hub
from service.jobs.lost import take_from_lost_workers
from service.keys.guard import KeyGuard
from service.keys.ring import KeyRing
from service.limits import Allowance, BodyLimit
from service.metrics import routes as metrics
from service.metrics.layer import Measured
from service.metrics.metrics import Metrics
from service.models import routes as models
from service.predict import routes as predict
from service.predict.admission import Admission
from service.predict.degrade import Degrader
from service.predict.models import ServedModels
from service.settings import ServiceSettings
from service.tracing import Tracing, open_tracing
from service.v2 import routes as v2
from worker.announcer import Announcer
from worker.app import create_celery
from worker.datasets import sweep
from worker.stores import open_stores

DESCRIPTION: Final = """\
Finds people's joints on photographs, and distils small networks that do (OKDHP, ICCV 2021).

* `POST /predict` with a photograph answers with poses.
* `POST /jobs` distils new students on workers; `GET /jobs/{id}` follows them.
* `POST /models/{name}/versions/{version}/promote` puts a student into production.

Errors are problem documents (RFC 9457): `type` names the kind, `detail` says what was wrong.
"""


def create_app(settings: ServiceSettings, *, no_worker: str | None = None) -> FastAPI:
    """The application on these settings; opens nothing before it is started.

    no_worker: why no worker runs beside it, shown with jobs that wait.
    """

    measured, tracing = Metrics(), open_tracing(settings.traces_endpoint)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        parts = await to_thread.run_sync(_open, settings, measured, tracing, no_worker)
        app.state.context = parts
        watches = [
            asyncio.create_task(part.follow(settings.registry_poll_s))
            for part in (parts.models, parts.keys, parts.degrader)
            if part is not None
        ]
        lost = take_from_lost_workers(parts.stores.jobs, settings.housekeeping_s)
        watches.append(asyncio.create_task(lost))
        try:
            yield
        finally:
            for watch in watches:
                watch.cancel()
            parts.hub.close()
            for executor in (parts.photographs, parts.unpacking):
                executor.shutdown(wait=False, cancel_futures=True)
            parts.stores.close()
            await to_thread.run_sync(tracing.close)

    app = FastAPI(
        title="okdhp",
        version=version("okdhp"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        telemetry=tracing.of_requests,
    )
    handlers.install(app)
    docs.install(app)
    for part in (predict, jobs, job_events, job_logs, models, datasets, health, metrics, v2):
        app.include_router(part.router)
    app.add_middleware(
        BodyLimit,
        usual=Allowance(settings.max_body_bytes),
        of={
            "/predict.*|/v2/models/.*": Allowance(settings.max_image_bytes),
            datasets.ARCHIVE: Allowance(settings.upload.max_bytes, each_bytes=1024**2),
        },
        within_s=settings.body_timeout_s,
    )
    app.add_middleware(KeyGuard)
    origins.install(app, settings.cors_origins)
    app.add_middleware(Identified)
    app.add_middleware(SecurityHeaders)  # added late: it sees refusals as well
    app.add_middleware(Measured, metrics=measured)  # added last: outermost
    return app


def _open(
    settings: ServiceSettings, metrics: Metrics, tracing: Tracing, no_worker: str | None
) -> Context:
    stores = open_stores(settings)
    stores.registry.ensure_bundled()
    sweep(settings.data_dir)
    models = ServedModels(
        stores.registry,
        provider=settings.provider,
        threads=settings.session_threads,
        keep=settings.loaded_models,
        batch=settings.batch_people,
        batch_delay_s=settings.batch_delay_ms / 1e3,
        ran=metrics.batch,
    )
    admission = Admission(settings.max_in_flight)
    metrics.watch(models, admission, stores.database)
    return Context(
        settings=settings,
        stores=stores,
        announcer=Announcer(create_celery(settings), stores.jobs),
        models=models,
        keys=KeyRing(stores.keys, required=settings.require_keys),
        metrics=metrics,
        tracing=tracing,
        admission=admission,
        degrader=Degrader(models, admission) if settings.degrade else None,
        photographs=ThreadPoolExecutor(settings.predict_threads, "photograph"),
        unpacking=ThreadPoolExecutor(2, "unpacking"),
        hub=Hub(stores.database),
        no_worker=no_worker,
    )

"""What the routes work with: opened when the application starts, closed when it ends."""

from concurrent.futures import Executor
from dataclasses import dataclass

from fastapi import Request

from service.jobs.hub import Hub
from service.keys.ring import KeyRing
from service.metrics.metrics import Metrics
from service.predict.admission import Admission
from service.predict.degrade import Degrader
from service.predict.models import ServedModels
from service.settings import ServiceSettings
from service.tracing import Tracing
from worker.announcer import Announcer
from worker.stores import Stores


@dataclass(frozen=True)
class Context:
    """One application's parts."""

    settings: ServiceSettings
    stores: Stores
    announcer: Announcer
    models: ServedModels
    keys: KeyRing
    metrics: Metrics
    tracing: Tracing
    admission: Admission
    """Bounds how many requests for poses are in work or wait."""
    degrader: Degrader | None
    """Where smaller branches may answer under pressure."""
    photographs: Executor
    """Where they are decoded and cut."""
    unpacking: Executor
    """Where uploaded archives are unpacked and looked at: few at once."""
    hub: Hub
    """Those who follow jobs."""
    no_worker: str | None
    """Why no worker runs beside this server; None where one does or others may."""


async def context(request: Request) -> Context:
    """The application's parts, as a dependency of a route.

    FastAPI would call a plain function in a thread, which costs every request a wait for one.
    """
    found: Context = request.app.state.context
    return found

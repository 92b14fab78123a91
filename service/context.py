"""What the routes work with: opened when the application starts, closed when it ends."""

from dataclasses import dataclass

from anyio import CapacityLimiter
from fastapi import Request

from service.keys.ring import KeyRing
from service.predict.models import ServedModels
from service.settings import ServiceSettings
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
    photographs: CapacityLimiter
    """Bounds how many are in work at once."""
    no_worker: str | None
    """Why no worker runs beside this server; None where one does or others may."""


def context(request: Request) -> Context:
    """The application's parts, as a dependency of a route."""
    found: Context = request.app.state.context
    return found

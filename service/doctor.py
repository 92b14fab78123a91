"""Whether each part that a server needs is there and works; changes nothing that lasts."""

import importlib.util
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Set
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from celery import Celery
from kombu.exceptions import KombuError
from redis.exceptions import AuthenticationError, RedisError
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from model.cores import cores
from model.errors import PoseError
from model.predictor import Predictor
from service.settings import ServiceSettings
from worker.app import QUEUES, create_celery
from worker.artifacts import ArtifactStore
from worker.broker import running_url
from worker.store import Database, Need, State, census
from worker.store.database import newest_revision
from worker.stores import Stores, open_stores

_PING_S: Final = 1.5
_LOW_DISK: Final = 2 << 30
"""A run with its checkpoints and a data set fit in."""


class Verdict(StrEnum):
    """Of one part: it works; it works, but one should know; it does not work."""

    OK = "ok"
    NOTE = "note"
    FAULT = "fault"


@dataclass(frozen=True)
class Finding:
    """What was found of a part, and what to do about it where something is."""

    part: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(settings: ServiceSettings) -> Iterator[Finding]:
    """One finding a part, each as soon as it is known; no part that is broken hides the others."""
    yield _home(settings)
    database = _database(settings)
    yield database
    artifacts = _artifacts(settings)
    yield artifacts
    broker, celery = _broker(settings)
    yield broker
    served: Set[Need] = frozenset(Need)
    if celery is not None:
        workers, served = _workers(celery)
        yield workers
    if database.verdict is Verdict.OK and artifacts.verdict is not Verdict.FAULT:
        with closing(open_stores(settings)) as stores:
            yield _jobs(stores, served)
            yield _datasets(stores)
            yield _keys(stores)
            yield _model(settings, stores)
    yield _training()


def _home(settings: ServiceSettings) -> Finding:
    part, home = "home", settings.home
    if not home.exists():
        return Finding(part, Verdict.NOTE, f"{home} is not there", "`okdhp serve` makes it")
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        return _fault(part, f"{home} cannot be written to: {error.strerror}", "chown or --home")
    free = shutil.disk_usage(home).free
    found = f"{home}, {free / 1e9:.1f} GB free"
    if free < _LOW_DISK:
        return Finding(part, Verdict.NOTE, found, "little: a training stops when the disk is full")
    return Finding(part, Verdict.OK, found)


def _database(settings: ServiceSettings) -> Finding:
    part = "database"
    try:
        url = make_url(settings.database_url)
    except SQLAlchemyError:
        return _fault(part, "OKDHP_DATABASE_URL cannot be read", "postgresql://USER@HOST/NAME")
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        return Finding(part, Verdict.NOTE, f"{shown} is not there", "`okdhp serve` makes it")
    try:
        with closing(Database(settings.database_url)) as database:
            found, known = database.revision(), newest_revision()
    except (SQLAlchemyError, PoseError, OSError) as error:
        return _fault(part, f"{shown}: {_first_line(error)}", "is it running, and the URL right?")
    if found == known:
        return Finding(part, Verdict.OK, f"{shown}, tables of version {found}")
    tables = f"{shown} has tables of version {found}, this program knows {known}"
    return Finding(part, Verdict.NOTE, tables, "the next start of this program brings them to it")


def _artifacts(settings: ServiceSettings) -> Finding:
    part, key = "artifacts", f"doctor/{uuid.uuid4().hex}"
    scheme, _, folder = settings.artifacts_url.partition("://")
    if scheme == "file" and not Path(folder).exists():
        return Finding(part, Verdict.NOTE, f"{folder} is not there", "`okdhp serve` makes it")
    try:
        with tempfile.TemporaryDirectory() as here:
            sent = Path(here) / "probe"
            sent.write_bytes(os.urandom(64))
            store = ArtifactStore(settings.artifacts_url, Path(here) / "cache")
            try:
                stored = store.put(sent, key)
                store.copy(stored.key, stored.sha256, Path(here) / "back")
            finally:
                store.remove("doctor")
    except Exception as error:  # each kind of store has its own errors
        return _fault(
            part, f"cannot be written and read: {_first_line(error)}", "OKDHP_ARTIFACTS_URL"
        )
    return Finding(part, Verdict.OK, f"{settings.artifacts_url}: written, read, removed")


def _broker(settings: ServiceSettings) -> tuple[Finding, Celery | None]:
    part = "broker"
    url = settings.broker_url or running_url(settings.home / "broker")
    if url is None:
        embedded = "the embedded one is not running"
        return Finding(part, Verdict.NOTE, embedded, "it runs while `okdhp serve` does"), None
    celery = create_celery(settings.model_copy(update={"broker_url": url}))
    try:
        with celery.connection_for_write() as connection:
            shown = connection.as_uri()
            version = connection.default_channel.client.info("server")["redis_version"]
    except AuthenticationError as error:
        return _fault(part, _first_line(error), "redis://:PASSWORD@HOST in OKDHP_BROKER_URL"), None
    except (RedisError, KombuError, OSError, ValueError) as error:
        remedy = "is it running, and OKDHP_BROKER_URL right? TLS is rediss://"
        return _fault(part, f"does not answer: {_first_line(error)}", remedy), None
    return Finding(part, Verdict.OK, f"{shown}, Valkey or Redis {version}"), celery


def _workers(celery: Celery) -> tuple[Finding, Set[Need]]:
    """With what they serve; everything where none answers, since that is said already."""
    replies = celery.control.inspect(timeout=_PING_S).active_queues() or {}
    if not replies:
        remedy = "`okdhp worker`; jobs wait for one"
        return Finding("workers", Verdict.NOTE, "none answers", remedy), frozenset(Need)
    served = {
        name: [need for need, queue in QUEUES.items() if queue in {q["name"] for q in queues}]
        for name, queues in sorted(replies.items())
    }
    shown = "; ".join(f"{name} for {', '.join(needs)}" for name, needs in served.items())
    return Finding("workers", Verdict.OK, shown), {n for needs in served.values() for n in needs}


def _jobs(stores: Stores, served: Set[Need]) -> Finding:
    """served: what the workers that answer can do."""
    counted = census(stores.database)
    of_state = dict.fromkeys(State, 0)
    for (state, _), number in counted.counts.items():
        of_state[state] += number
    found = ", ".join(f"{number} {state}" for state, number in of_state.items() if number)
    if counted.overdue:
        remedy = "a worker that runs gives them to another; start one"
        return _fault("jobs", f"{found}; workers of {counted.overdue} are silent", remedy)
    if waiting := {need: number for need, number in counted.queued.items() if need not in served}:
        shown = ", ".join(f"{number} for {need}" for need, number in waiting.items())
        remedy = "start a worker that has such a device"
        return Finding("jobs", Verdict.NOTE, f"{found}; no worker serves {shown}", remedy)
    return Finding("jobs", Verdict.OK, found or "none")


def _datasets(stores: Stores) -> Finding:
    part, names = "data sets", [found.reference for found in stores.datasets.all()]
    gone = []
    for name in names:
        try:
            stores.datasets.lookup(name)
        except PoseError:
            gone.append(name)
    if gone:
        remedy = f"put them back below {stores.settings.data_dir}, or delete them"
        return _fault(part, f"the files of {', '.join(gone)} are gone", remedy)
    return Finding(part, Verdict.OK, ", ".join(names) or "none")


def _keys(stores: Stores) -> Finding:
    keys = stores.keys.all()
    valid = [key.name for key in keys if key.revoked_at is None]
    if keys and not valid:
        return _fault("API keys", "all are revoked: nobody is let in", "okdhp keys create NAME")
    none = "none: whoever reaches the server may use it"
    return Finding("API keys", Verdict.OK, f"{len(valid)} valid" if valid else none)


def _model(settings: ServiceSettings, stores: Stores) -> Finding:
    part = "model"
    try:
        version = stores.registry.production()
        path = stores.registry.open_local(version.model, version.version)
        predictor = Predictor(path, provider=settings.provider)
    except PoseError as error:
        return _fault(part, str(error), "promote a version that runs here")
    except ImportError:
        return _fault(part, "ONNX Runtime is not installed", "pip install 'okdhp[cpu]' or [gpu]")
    found = f"{version.model}:{version.version} on {predictor.provider}, {cores()} cores"
    return Finding(part, Verdict.OK, found)


def _training() -> Finding:
    part = "training"
    if importlib.util.find_spec("torch") is None:
        return Finding(part, Verdict.NOTE, "is not installed here", "pip install 'okdhp[train]'")
    return Finding(part, Verdict.OK, "is installed")


def _fault(part: str, found: str, remedy: str) -> Finding:
    return Finding(part, Verdict.FAULT, found, remedy)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

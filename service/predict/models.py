"""The students in memory: the one in production, and a few that requests asked for by name.

A request keeps the student that it began with. After a promotion the next one is loaded and warmed
beside the old, then takes its place in one assignment; the old is freed with its last request.
"""

import asyncio
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from model.cores import cores
from model.errors import ModelUnusable, PoseError
from model.predictor import Predictor
from service.errors import ModelInProduction, NotReady
from service.predict.batcher import BATCH, Batcher
from worker.registry import Registry

log = logging.getLogger(__name__)

Ran = Callable[[str, int, Predictor, int, float], None]
"""Told of every inference: by which version of which model, of how many crops, in seconds."""

LOADING: Final = "the model is being loaded"
RETRY_S: Final = 10.0
"""A production model that does not load is tried again after so long."""


@dataclass(frozen=True)
class Served:
    """A version of a model, loaded and warm."""

    name: str
    version: int
    predictor: Predictor
    batcher: Batcher


class ServedModels:
    """Loads students from the registry. Safe to call from several threads."""

    def __init__(
        self,
        registry: Registry,
        *,
        provider: str,
        threads: int,
        keep: int,
        batch: int = BATCH,
        batch_delay_s: float = 0.0,
        ran: Ran | None = None,
    ) -> None:
        """threads: of an inference on the CPU; as many run at once as there are cores for. keep:
        how many students stay loaded beside the one in production. batch, batch_delay_s: of
        `Batcher`.
        """
        self._registry = registry
        self._provider, self._threads, self._keep = provider, threads, keep
        self._at_once = max(1, cores() // threads) if provider == "cpu" else 1
        self._batch, self._batch_delay_s, self._ran = batch, batch_delay_s, ran
        self._production: Served | None = None
        self._failure = LOADING
        self._retry_at = 0.0
        self._failed: tuple[str, int] | None = None
        self._others: OrderedDict[tuple[str, int], Served] = OrderedDict()
        self._changing = threading.Lock()  # of the two above, never held while loading
        self._loading = threading.Lock()  # one at a time: a load takes memory and all cores
        # What the registry said and what is set belong together: a look that began before a
        # promotion must not set the old version after it.
        self._refreshing = threading.Lock()

    def production(self) -> Served:
        """The student that answers when none is asked for. Raises NotReady."""
        served = self._production
        if served is None:
            raise NotReady(self._failure)
        return served

    def get(self, asked: str | None) -> Served:
        """The student that `name`, `name:version` or None (production) means; loads it if need be.

        Raises NotReady, ModelNotFound, VersionNotFound, ModelUnusable, ArtifactUnusable.
        """
        now = self._production
        if now is not None and asked in (None, now.name, f"{now.name}:{now.version}"):
            return now  # without asking the database: its last promotion is of this very model
        if asked is None:
            return self.production()
        version = self._registry.resolve(asked)
        return self.load(version.model, version.version)

    def branches(self, served: Served) -> list[Served]:
        """The student and the other registered branches of its run, loaded, largest file first.

        Raises as `get`.
        """
        version = self._registry.get(served.name, served.version)
        together = [version, *self._registry.siblings(version)]
        newest = {v.branch: v for v in reversed(together)} | {version.branch: version}
        return [
            self.load(v.model, v.version)
            for v in sorted(newest.values(), key=lambda v: v.bytes, reverse=True)
        ]

    def load(self, name: str, version: int) -> Served:
        """This version, from memory or loaded now. Raises as `get`."""
        if (served := self._loaded(name, version)) is not None:
            return served
        with self._loading:
            if (served := self._loaded(name, version)) is not None:
                return served  # another thread loaded it meanwhile
            path = self._registry.open_local(name, version)
            try:
                predictor = Predictor(
                    path,
                    provider=self._provider,
                    threads=self._threads,
                    spin=False,  # the cores have photographs to decode meanwhile
                )
            except ModelUnusable as error:
                # The file's own name in the store says nothing to whoever asked for the model.
                raise ModelUnusable(f"model {name}:{version} cannot run here: {error}") from error
            ran = partial(self._ran, name, version, predictor) if self._ran else None
            batcher = Batcher(
                predictor,
                most=self._batch,
                delay_s=self._batch_delay_s,
                at_once=self._at_once,
                ran=ran,
            )
            served = Served(name, version, predictor, batcher)
            with self._changing:
                self._keep_loaded(served)
            return served

    def unload(self, name: str, version: int) -> None:
        """Free this version with its last request; nothing where it is not loaded.

        Raises ModelInProduction.
        """
        with self._changing:
            now = self._production
            if now is not None and (now.name, now.version) == (name, version):
                raise ModelInProduction(f"{name}:{version} is in production: promote another first")
            self._others.pop((name, version), None)

    def loaded(self) -> frozenset[tuple[str, int]]:
        """Names and versions of what is in memory."""
        with self._changing:
            now = self._production
            return frozenset(self._others) | (
                frozenset() if now is None else {(now.name, now.version)}
            )

    def refresh(self) -> None:
        """Look which version is in production and swap to it if it is another.

        One that cannot be loaded leaves the old one in place; it is tried again later.
        """
        with self._refreshing:
            self._refresh()

    def _refresh(self) -> None:
        try:
            wanted = self._registry.production()
            key = (wanted.model, wanted.version)
            now = self._production
            if now is not None and (now.name, now.version) == key:
                return
            if key == self._failed and time.monotonic() < self._retry_at:
                return
            self._failed, self._retry_at = key, time.monotonic() + RETRY_S
            served = self.load(*key)
        except PoseError as error:
            if str(error) != self._failure:
                log.error("the model in production cannot be loaded: %s", error)
            self._failure = str(error)
            return
        with self._changing:
            self._production = served
            self._others.pop(key, None)
            if now is not None:  # to roll back to at once, until others push it out
                self._keep_loaded(now)
        self._failed = None
        log.info("%s:%d is in production, on %s", *key, served.predictor.provider)

    async def follow(self, every_s: float) -> None:
        """Refreshes for ever: how other processes' promotions are noticed."""
        while True:
            try:
                await asyncio.to_thread(self.refresh)
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("the registry cannot be read")
            await asyncio.sleep(every_s)

    def _keep_loaded(self, served: Served) -> None:
        self._others[served.name, served.version] = served
        while len(self._others) > self._keep:
            self._others.popitem(last=False)

    def _loaded(self, name: str, version: int) -> Served | None:
        with self._changing:
            now = self._production
            if now is not None and (now.name, now.version) == (name, version):
                return now
            served = self._others.get((name, version))
            if served is not None:
                self._others.move_to_end((name, version))
            return served

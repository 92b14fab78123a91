"""Accuracy before availability: while requests queue up, smaller branches of the run answer."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from model.errors import PoseError
from service.predict.admission import Admission
from service.predict.models import Served, ServedModels

log = logging.getLogger(__name__)

PRESSED: Final = 0.5
CALM: Final = 0.125
"""Of the places of `Admission`: from so many taken on a smaller branch answers, and with at most
so many for a while a larger one again."""
STEP_S: Final = 0.25
CALM_S: Final = 2.0
"""A step down takes effect before the next is decided; a step up waits until calm has lasted."""


class Degrader:
    """Chooses among the registered branches of the run in production, no larger than that.

    `choose` is for the event loop alone, `look` for any one thread.
    """

    def __init__(
        self,
        models: ServedModels,
        admission: Admission,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models, self._admission, self._clock = models, admission, clock
        self._ladder: Sequence[Served] = ()
        self._rung = 0
        self._stepped = self._pressed = clock()

    def choose(self) -> Served:
        """Who answers now. Raises NotReady."""
        production, ladder = self._models.production(), self._ladder
        if not ladder or ladder[0] is not production:  # a promotion that `look` has not seen
            return production
        now, taken = self._clock(), self._admission.taken
        if taken > CALM:
            self._pressed = now
        if taken >= PRESSED and now - self._stepped >= STEP_S:
            self._rung, self._stepped = self._rung + 1, now
        elif self._rung and now - max(self._pressed, self._stepped) >= CALM_S:
            self._rung, self._stepped = self._rung - 1, now
        self._rung = min(self._rung, len(ladder) - 1)
        return ladder[self._rung]

    def look(self) -> None:
        """Loads what may answer. Raises PoseError where one of them cannot be."""
        production = self._models.production()
        branches = self._models.branches(production)
        self._ladder = branches[branches.index(production) :]

    async def follow(self, every_s: float) -> None:
        """Looks for ever: branches come and go by other processes too."""
        while True:
            try:
                await asyncio.to_thread(self.look)
            except PoseError as error:
                log.warning("no smaller branch can be loaded: %s", error)
            except Exception:  # a database that is away for a moment must not end the watch
                log.exception("the registry cannot be read")
            await asyncio.sleep(every_s)

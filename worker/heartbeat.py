"""The thread that holds a job's lease while the supervisor is busy with anything else."""

import logging
import threading
from types import TracebackType
from typing import Final, Self

from sqlalchemy.exc import SQLAlchemyError

from worker.errors import LeaseLost
from worker.store import Claim, JobStore, Wishes

_JOIN_S: Final = 1.0

log = logging.getLogger(__name__)


class Heartbeat:
    """Renews a claim's lease until the block ends; notes what is wanted and the claim's loss."""

    def __init__(self, jobs: JobStore, claim: Claim, every_s: float) -> None:
        self._jobs = jobs
        self._claim = claim
        self._every_s = every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._beat, name=f"heartbeat-{claim.job_id}", daemon=True
        )
        self.wishes = Wishes()
        self.lost: LeaseLost | None = None

    def _beat(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self.wishes = self._jobs.renew(self._claim)
            except LeaseLost as error:
                self.lost = error
                return
            except SQLAlchemyError as error:
                # Nobody can take the job over while the database is away; the work goes on.
                log.warning("job %s: lease not renewed: %s", self._claim.job_id, error)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        # It may hang in a database that is away; a beat too late is refused.
        self._thread.join(_JOIN_S)

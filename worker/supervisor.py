"""What a worker does with a job that it may have: claim it, and see its attempt to the end."""

import logging
import os
import platform
import threading
from collections.abc import Mapping, Sequence

from sqlalchemy.exc import InterfaceError, OperationalError

from worker.attempt import CHILD, Attempt
from worker.devices import CPU, Device
from worker.errors import ClaimRefused, JobNotFound, LeaseLost
from worker.jobs import KINDS, JobKind
from worker.stores import Stores

log = logging.getLogger(__name__)


class Supervisor:
    """Runs jobs, each in its caller's thread; `drain` makes it give all back and take no other."""

    def __init__(
        self,
        stores: Stores,
        *,
        kinds: Mapping[str, JobKind] = KINDS,
        child: Sequence[str] = CHILD,
    ) -> None:
        """child: the command that takes a job's `--job --kind --run`."""
        self.stores = stores
        self.kinds = kinds
        self.child = tuple(child)
        self.worker = stores.settings.worker_name or f"{platform.node()}:{os.getpid()}"
        self.draining = threading.Event()

    def run(self, job_id: str, device: Device = CPU) -> bool:
        """Do a job to its end, or until it is given back. False when it is not to be had.

        Never raises: what goes wrong with the job is written to the job.
        """
        if self.draining.is_set():
            return False  # announced again once another worker looks
        try:
            claim = self.stores.jobs.claim(job_id, self.worker, f"claimed for {device.name}")
        except (ClaimRefused, JobNotFound) as refusal:
            log.info("not taken: %s", refusal)
            return False
        except (OperationalError, InterfaceError) as error:
            log.warning("job %s is not taken, the database is away: %s", job_id, error)
            return False
        try:
            Attempt(
                self.stores,
                claim,
                device,
                kinds=self.kinds,
                child=self.child,
                draining=self.draining,
            ).run()
        except LeaseLost as loss:
            log.warning("%s", loss)
        except Exception:
            log.exception("job %s: the worker made a mistake", job_id)
        return True

    def drain(self) -> None:
        """Let the jobs in work save what they have and go back to the queue. From any thread."""
        self.draining.set()

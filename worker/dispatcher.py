"""Gives each device of a worker the job whose turn it is, one at a time."""

import logging
import threading
from collections.abc import Sequence
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from worker.devices import Device, gpus
from worker.supervisor import Supervisor

log = logging.getLogger(__name__)

_CANDIDATES: Final = 16
"""So many workers may reach for the same job at once, and each still finds one."""


class Dispatcher:
    """What a bell wakes. Safe to call from as many threads as there are devices."""

    def __init__(self, supervisor: Supervisor, devices: Sequence[Device]) -> None:
        self.devices = tuple(devices)
        self._supervisor = supervisor
        self._jobs = supervisor.stores.jobs
        self._locks = {device: threading.Lock() for device in devices}

    def hear(self, job_id: str) -> None:
        """Do jobs until no free device has one whose turn it is.

        job_id: for whom the bell was rung; whoever has most right to a device gets it.
        """
        log.debug("the bell for job %s", job_id)
        try:
            while any(self._serve(device) for device in self.devices):
                pass  # by its end there may be jobs for the devices that we looked at before
        except SQLAlchemyError as error:
            log.warning("the bell is rung again: the database is away: %s", error)

    def wanted(self) -> list[str]:
        """Ids of jobs whose turn it is for the devices that are free, one for each."""
        free = [device for device in self.devices if not self._locks[device].locked()]
        return list(dict.fromkeys(id_ for d in free for id_ in self._jobs.next_jobs(d.needs)))

    def _serve(self, device: Device) -> bool:
        """Do the first job in turn that no other worker takes before.

        False where there is none, the device is in use, or its memory is.
        """
        lock = self._locks[device]
        if not lock.acquire(blocking=False):
            return False
        try:
            waiting = self._jobs.next_jobs(device.needs, limit=_CANDIDATES)
            if not waiting or not self._memory_is_free(device, waiting[0]):
                return False
            return any(self._supervisor.run(job_id, device) for job_id in waiting)
        finally:
            lock.release()

    def _memory_is_free(self, device: Device, job_id: str) -> bool:
        """Whether nothing holds the device's memory; else the job is told so."""
        if device.gpu is None:
            return True
        memory = gpus().get(device.gpu)
        if memory is not None and memory.has_free(self._supervisor.stores.settings.gpu_free):
            return True
        found = "the driver does not answer" if memory is None else f"of its memory {memory}"
        why = f"waits for {device.name}: {found}"
        if self._jobs.hold_up(job_id, why):
            log.info("job %s %s", job_id, why)
        return False

"""Where a training's time goes, summed over its resumes."""

import time
from dataclasses import dataclass


@dataclass
class Spent:
    """Time of training steps; evaluating, saving and cutting people out is in none of it."""

    seconds: float = 0.0  # on the wall
    data_s: float = 0.0  # of these, waiting for the next batch
    cpu_seconds: float = 0.0  # of all threads and processes
    images: int = 0


class Clock:
    """Books the time since its last lap on every account."""

    def __init__(self, processes: int) -> None:
        """processes: how many work as this one does."""
        self._processes = processes
        self.start()

    def start(self) -> None:
        """What was before does not count."""
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def lap(self, accounts: tuple[Spent, ...], *, images: int, data_s: float) -> float:
        """Seconds since the last lap."""
        wall, cpu = self._wall, self._cpu
        self.start()
        for account in accounts:
            account.seconds += self._wall - wall
            account.data_s += data_s
            account.cpu_seconds += (self._cpu - cpu) * self._processes
            account.images += images
        return self._wall - wall
